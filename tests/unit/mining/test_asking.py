"""The image-text model is asked for real: GLM's class on small random weights, behind a server that speaks its API."""

import numpy as np
import pytest
from starlette.responses import JSONResponse

from streetvision_core.mining.asking import MODE_QUESTIONS, asked_modes, label_answers
from streetvision_core.models.vlm.server import ServerVlm
from streetvision_core.types import Frame

pytestmark = pytest.mark.slow
NAME = "zai-org/GLM-4.6V-Flash"
FRAMES = [
    Frame.from_pixels(np.random.default_rng(i).integers(0, 255, (60, 90, 3)).astype(np.uint8), f"test:{i}")
    for i in range(3)
]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    pytest.importorskip("transformers")
    from tests import tiny_checkpoints
    from tests.chat_server import ChatServer, running

    made = ChatServer(NAME, tiny_checkpoints.glm(tmp_path_factory.mktemp("glm")))
    with running(made.app) as url:
        yield made, url


def client(url):
    return ServerVlm(NAME, url, timeout_seconds=20.0, max_side_pixels=112)


def test_label_answers__are_the_models_own_probabilities(server):
    made, url = server
    made.reset()
    vlm = client(url)
    found = label_answers(vlm, FRAMES)
    assert found == pytest.approx([vlm.answer([frame]).p_yes for frame in FRAMES], abs=1e-4)
    assert all(p is not None and 0 < p < 1 for p in found)


def test_asked_modes__one_question_per_mode_and_frame_and_yes_only_above_a_half(server):
    made, url = server
    made.reset()
    vlm = client(url)
    found = asked_modes(vlm, FRAMES)
    asked = [r["messages"][0]["content"][-1]["text"] for r in made.requests]
    assert sorted(asked) == sorted(q for q in MODE_QUESTIONS.values() for _ in FRAMES)
    for frame, modes in zip(FRAMES, found, strict=True):
        alone = {mode for mode, question in MODE_QUESTIONS.items() if vlm.answer([frame], question).probability() > 0.5}
        assert modes == alone


def test_asking__a_server_that_fails_says_nothing_and_stops_nothing(server):
    made, url = server
    made.reset()
    made.fault = JSONResponse({"error": {"message": "out of memory"}}, 500)
    assert label_answers(client(url), FRAMES) == [None] * 3
    assert asked_modes(client(url), FRAMES) == [frozenset()] * 3
