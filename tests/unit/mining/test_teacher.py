"""A real HTTP server answers as an OpenAI-compatible API does; the teacher runs against it unchanged."""

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from streetvision_core.data.table import FeatureTable
from streetvision_core.errors import BudgetError, ModelError
from streetvision_core.images.decode import decode_image
from streetvision_core.mining.spending import Budget
from streetvision_core.mining.teacher import Prices, Teacher, write_doe1, write_plain
from streetvision_core.training.weights import PSEUDO, row_weights
from streetvision_core.types import Frame

PRICES = Prices(input_usd=2.0, output_usd=8.0, most_input_tokens=1000)


class Api(BaseHTTPRequestHandler):
    """Says road work where the image is bright; counts calls and may be told to fail."""

    def do_POST(self):
        server = self.server
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server.calls.append((self.path, self.headers.get("Authorization"), body))
        if server.status != 200:
            self.send_response(server.status)
            self.end_headers()
            self.wfile.write(b"no such model")
            return
        url = body["messages"][0]["content"][1]["image_url"]["url"]
        frame = decode_image(base64.b64decode(url.split(",")[1]), "sent")
        bright = bool(frame.pixels.mean() > 127)
        content = server.content or json.dumps(
            {"roadwork": bright, "confidence": 0.9, "description": "A street.", "objects": ["cone"] if bright else []}
        )
        usage = {"prompt_tokens": 500, "completion_tokens": 50}
        answer = json.dumps({"choices": [{"message": {"content": content}}], "usage": usage}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


@pytest.fixture
def api():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    server.calls, server.status, server.content = [], 200, ""
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def frames(n):
    levels = [(20, 220)[i % 2] + i for i in range(n)]
    return [(f"f{i}", Frame.from_pixels(np.full((32, 48, 3), v, np.uint8), f"f{i}")) for i, v in enumerate(levels)]


def teacher(api, folder, limit=1.0, **more):
    url = f"http://127.0.0.1:{api.server_port}/v1"
    return Teacher(url, "big-vlm", Budget(folder / "spent.json", limit), PRICES, folder / "answers", **more)


def test_label__asks_once_and_pays_what_it_cost(api, tmp_path):
    labels = teacher(api, tmp_path, api_key="secret").label(frames(3))
    assert [label.label for label in labels] == [0, 1, 0]
    assert [label.p_roadwork for label in labels] == pytest.approx([0.1, 0.9, 0.1])
    path, key, body = api.calls[0]
    assert (path, key, body["model"]) == ("/v1/chat/completions", "Bearer secret", "big-vlm")
    again = teacher(api, tmp_path)
    assert again.label(frames(3)) == labels
    assert len(api.calls) == 3
    assert again.budget.spent_usd == pytest.approx(3 * PRICES.cost(500, 50))


def test_label__the_cap_is_never_passed_and_is_remembered(api, tmp_path):
    cap = 3 * PRICES.cost(500, 50) + PRICES.most - 1e-6
    with pytest.raises(BudgetError, match="raise the limit") as caught:
        teacher(api, tmp_path, cap).label(frames(9))
    assert caught.value.data["spent_usd"] <= cap
    assert len(api.calls) == len(list((tmp_path / "answers").glob("*.json"))) == 3
    with pytest.raises(BudgetError):
        teacher(api, tmp_path, cap).label(frames(9))
    assert len(api.calls) == 3, "nothing is asked again after a restart"


@pytest.mark.parametrize(
    ("status", "content", "match"),
    [
        (404, "", "HTTP 404: no such model"),
        (200, "I think yes", "not as asked"),
        (200, '{"roadwork": "maybe"}', "maybe"),
    ],
)
def test_label__a_wrong_answer_is_named_and_counts_as_spent(api, tmp_path, status, content, match):
    api.status, api.content = status, content
    asked = teacher(api, tmp_path)
    with pytest.raises(ModelError, match=match):
        asked.label(frames(1))
    assert asked.budget.spent_usd > 0
    assert not list((tmp_path / "answers").glob("*.json"))


def test_budget__two_spenders_share_one_cap(tmp_path):
    first, second = (Budget(tmp_path / "spent.json", 1.0) for _ in range(2))
    with first.spend(0.7) as receipt:
        with pytest.raises(BudgetError), second.spend(0.4):
            pass
        receipt.usd = 0.2
    with second.spend(0.8):
        pass
    assert first.left_usd == pytest.approx(0)


def test_budget__a_call_that_breaks_stays_paid(tmp_path):
    budget = Budget(tmp_path / "spent.json", 1.0)
    with pytest.raises(RuntimeError), budget.spend(0.6):
        raise RuntimeError
    assert budget.spent_usd == pytest.approx(0.6)


def test_exports__plain_and_doe1(api, tmp_path):
    labels = teacher(api, tmp_path).label(frames(2))
    write_plain(labels, tmp_path / "plain.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "plain.jsonl").read_text().splitlines()]
    assert [(line["id"], line["label"], line["teacher"]) for line in lines] == [
        ("f0", 0, "big-vlm"),
        ("f1", 1, "big-vlm"),
    ]
    write_doe1(labels, ["a.jpg", "b.jpg"], tmp_path / "doe1.json")
    conversations = json.loads((tmp_path / "doe1.json").read_text())
    assert len(conversations) == 2
    [frame] = conversations[1]
    assert [qa["task"] for qa in frame] == ["desc", "qa"]
    assert set(frame[0]) == {"q", "a", "image", "plan", "coords", "task", "id"}
    assert frame[1]["a"] == "Yes. cone."
    assert frame[1]["image"] == ["b.jpg"]


def test_row_weights__real_and_pseudo_share_each_class():
    origins = ["photos"] * 4 + [PSEUDO + "big-vlm"] * 12
    table = FeatureTable.build(
        np.ones((16, 2)), backbone="b", preprocessing="p/1", labels=[i % 2 for i in range(16)], origins=origins
    )
    weights = row_weights(table, "class", real_share=0.7)
    assert weights[:4].sum() / weights.sum() == pytest.approx(0.7)
    assert weights[table.labels == 1].sum() == pytest.approx(weights[table.labels == 0].sum())
    real = table.select([0, 1, 2, 3])
    assert row_weights(real, "class", 0.7).tolist() == [1, 1, 1, 1]
