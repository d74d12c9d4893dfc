"""The big models' own classes on small random checkpoints: in this process, and behind a real server."""

from __future__ import annotations

import json
import shutil
import sys

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from starlette.responses import JSONResponse, Response

from streetvision_core.errors import ModelError, VlmError, VlmServerError
from streetvision_core.models.factory import load_models
from streetvision_core.models.florence import FlorenceReader
from streetvision_core.models.hub import folder_of, record
from streetvision_core.models.keywords import count_keywords
from streetvision_core.models.ocr import readable_part
from streetvision_core.models.vlm.local import FOUR_BIT_KEEPS, LocalVlm, image_part
from streetvision_core.models.vlm.prompts import QUESTION, message
from streetvision_core.models.vlm.residency import Residency
from streetvision_core.models.vlm.server import ServerVlm
from streetvision_core.settings import load_settings
from streetvision_core.types import Box, Frame
from tests import tiny_checkpoints
from tests.chat_server import ChatServer, running


def frame(seed, height=90, width=160):
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    pixels = coarse.repeat(-(-height // 6), axis=0).repeat(-(-width // 8), axis=1)[:height, :width]
    return Frame.from_pixels(np.ascontiguousarray(pixels), f"test:{seed}")


FRAMES = [frame(i, *size) for i, size in enumerate([(90, 160), (120, 70), (90, 160)])]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("checkpoints")
    made = {name: getattr(tiny_checkpoints, name)(root / name) for name in ("glm", "molmo", "florence")}
    return made | {"babbling": tiny_checkpoints.glm(root / "babbling", taught=False)}


@pytest.fixture(scope="module")
def memory():
    return Residency(lambda: 10**12)


@pytest.fixture(scope="module", params=["glm", "molmo"])
def vlm(request, folders, memory):
    return LocalVlm(request.param, folders[request.param], memory, max_side_pixels=112)


def test_local__answers_with_the_probability_of_its_first_token(vlm):
    found = vlm.answer(FRAMES[:1])
    assert 0 < found.probability() < 1
    assert found.token.strip().lower() in ("yes", "no")
    with vlm._use() as loaded:  # the same by hand, from the whole distribution
        inputs = loaded.processor.apply_chat_template(
            message([image_part(FRAMES[0].pixels, 112)], QUESTION), tokenize=True, add_generation_prompt=True,
            return_dict=True, return_tensors="pt", enable_thinking=False,
        )  # fmt: skip
        with torch.inference_mode():
            p = loaded.model(**inputs).logits[0, -1].softmax(-1)
        mass = {w: float(p[loaded.processor.tokenizer.convert_tokens_to_ids(w)]) for w in ("yes", "Yes", "no", "No")}
    yes, no = mass["yes"] + mass["Yes"], mass["no"] + mass["No"]
    assert found.p_yes == pytest.approx(yes / (yes + no), abs=1e-5)
    assert found.mass == pytest.approx(yes + no, abs=1e-4)


def test_local__a_batch_answers_as_one_by_one(vlm):
    alone = [vlm.answer([one]).probability() for one in FRAMES]
    assert [a.probability() for a in vlm.answer_each(FRAMES)] == pytest.approx(alone, abs=1e-4)
    assert len(set(alone)) == len(FRAMES)  # it looks at the image
    assert vlm.answer_each([]) == []


def test_local__a_clip_is_one_question_about_all_frames(vlm):
    clip = vlm.answer(FRAMES)
    assert 0 < clip.probability() < 1
    assert clip.p_yes != pytest.approx(vlm.answer(FRAMES[:1]).p_yes, abs=1e-9)
    with pytest.raises(VlmError, match="at least one frame"):
        vlm.answer([])


def test_local__explains_in_words(vlm, monkeypatch):
    monkeypatch.setattr("streetvision_core.models.vlm.local.EXPLAIN_TOKENS", 5)
    assert isinstance(vlm.explain(FRAMES[:1]), str)


def test_local__says_when_it_did_not_answer(folders, memory):
    found = LocalVlm("babbling", folders["babbling"], memory, max_side_pixels=112).answer(FRAMES[:1])
    assert found.p_yes is None
    assert found.note.startswith("the first token ")


def test_local__one_resident_where_memory_is_short(folders):
    small = Residency(lambda: 1)
    glm, molmo = (LocalVlm(name, folders[name], small, max_side_pixels=112) for name in ("glm", "molmo"))
    first = glm.answer(FRAMES[:1]).p_yes
    molmo.answer(FRAMES[:1])
    assert small.resident == (str(folders["molmo"]),)
    assert glm.answer(FRAMES[:1]).p_yes == first


@pytest.mark.parametrize(("name", "tower"), [("glm", "visual"), ("molmo", "vision_tower")])
def test_local__four_bit_leaves_the_eyes_and_the_last_layer_alone(folders, name, tower):
    from transformers import AutoConfig, AutoModelForImageTextToText
    from transformers.quantizers.quantizers_utils import should_convert_module

    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(AutoConfig.from_pretrained(folders[name]))
    linear = [full for full, module in model.named_modules() if isinstance(module, torch.nn.Linear)]
    left = [full for full in linear if not should_convert_module(full, FOUR_BIT_KEEPS)]
    assert {full for full in linear if full not in left} == {f for f in linear if "language_model" in f}
    assert {"lm_head"} < set(left)
    assert any(tower in full for full in left)


def test_local__four_bit_answers_alike_on_every_cpu(folders, monkeypatch):
    import bitsandbytes.nn.modules as layers

    def ask(extension):  # what the processor has is asked as a layer is made; packing itself runs on any
        monkeypatch.setattr(layers, "has_avx512bf16", lambda: extension)
        glm = LocalVlm("glm", folders["glm"], Residency(lambda: 10**12), four_bit=True, max_side_pixels=112)
        found = glm.answer(FRAMES[:1])
        with glm._use() as loaded:
            assert any(isinstance(module, layers.Linear4bit) for module in loaded.model.modules())
        return found

    with_it, without = ask(True), ask(False)
    assert 0 < with_it.probability() < 1
    assert with_it == without


@pytest.mark.parametrize("lost", ["model.safetensors", "tokenizer.json", "config.json"])
def test_local__a_broken_folder_is_a_named_error(folders, tmp_path, lost):
    for file in folders["glm"].iterdir():
        if file.name != lost:
            (tmp_path / file.name).symlink_to(file)
    with pytest.raises(ModelError, match="streetvision models verify some/glm"):
        LocalVlm("some/glm", tmp_path, Residency(lambda: 10**12)).answer(FRAMES[:1])


def test_local__a_packing_nobody_here_can_read_is_a_named_error(folders, tmp_path, monkeypatch):
    shutil.copytree(folders["glm"], tmp_path / "glm")
    config = json.loads((tmp_path / "glm" / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "compressed-tensors", "config_groups": {}}
    (tmp_path / "glm" / "config.json").write_text(json.dumps(config))
    monkeypatch.setitem(sys.modules, "compressed_tensors", None)
    monkeypatch.setattr("transformers.utils.import_utils.is_compressed_tensors_available", lambda: False)
    with pytest.raises(ModelError, match=r"compressed-tensors.*do: run: streetvision install gpu"):
        LocalVlm("some/glm", tmp_path / "glm", Residency(lambda: 10**12)).answer(FRAMES[:1])


def test_local__packed_weights_count_as_they_are_in_memory(tmp_path):
    packed = {"a.weight_packed": np.zeros((16, 8), np.int32), "b.weight": np.zeros((16, 64), np.float16)}
    save_file(packed, tmp_path / "model.safetensors")
    size = (tmp_path / "model.safetensors").stat().st_size
    assert LocalVlm("glm", tmp_path, Residency(lambda: 0))._bytes == size + 3 * 16 * 8 * 4


@pytest.fixture(scope="module")
def server(folders):
    made = ChatServer("zai-org/GLM-4.6V-Flash", folders["glm"])
    with running(made.app) as url:
        yield made, url


@pytest.fixture
def healthy(server):
    server[0].reset()
    return server


def client(url, **options):
    return ServerVlm("zai-org/GLM-4.6V-Flash", url, **{"timeout_seconds": 20.0, "max_side_pixels": 112, **options})


def test_server__answers_as_the_same_model_in_this_process(healthy, folders, memory):
    made, url = healthy
    plain = Frame.from_pixels(np.full((112, 112, 3), 200, np.uint8), "test:plain")  # JPEG keeps it exactly
    here = LocalVlm("glm", folders["glm"], memory, max_side_pixels=112).answer([plain])
    there = client(url, api_key="secret").answer([plain])
    assert there.probability() == pytest.approx(here.probability(), abs=1e-4)
    assert there.token == here.token
    assert made.requests[0]["chat_template_kwargs"] == {"enable_thinking": False}
    assert made.requests[0]["max_tokens"] == 1
    assert made.headers[0]["authorization"] == "Bearer secret"


def test_server__many_frames_and_words(healthy, monkeypatch):
    monkeypatch.setattr("streetvision_core.models.vlm.server.EXPLAIN_TOKENS", 5)
    made, url = healthy
    vlm = client(url, parallel=2)
    assert len({a.probability() for a in vlm.answer_each(FRAMES)}) == len(FRAMES)
    assert 0 < vlm.answer(FRAMES).probability() < 1
    assert [part["type"] for part in made.requests[-1]["messages"][0]["content"]] == ["image_url"] * 3 + ["text"]
    assert isinstance(vlm.explain(FRAMES[:1]), str)
    assert "logprobs" not in made.requests[-1]


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        (Response(b"<html>", 200), "6 bytes that are no JSON"),
        (JSONResponse([]), "an answer without choices"),
        (JSONResponse({"choices": [{"message": {"content": "yes"}}]}), "an answer without log-probabilities"),
        (JSONResponse({"choices": [{"logprobs": {"content": [{"token": "yes"}]}}]}), "of another form"),
        (
            JSONResponse(
                {"choices": [{"logprobs": {"content": [{"token": "yes", "logprob": 7, "top_logprobs": []}]}}]}
            ),
            "log-probability 7",
        ),
        (JSONResponse({"error": "?"}, 401), "set SV_VLM__API_KEY"),
        (JSONResponse({"error": "?"}, 404), "vllm serve zai-org/GLM-4.6V-Flash"),
        (Response(b"x" * 2**21, 200), "more than 1048576 bytes"),
    ],
)
def test_server__odd_answers_are_named_errors(healthy, fault, text):
    made, url = healthy
    made.fault = fault
    vlm = client(url)
    with pytest.raises(VlmServerError, match=text) as caught:
        vlm.answer(FRAMES[:1])
    assert caught.value.data["down"] is False
    made.fault = None
    assert vlm.answer(FRAMES[:1]).p_yes  # asked again at once


@pytest.mark.parametrize("how", ["refuses", "slow", "busy"])
def test_server__that_is_down_is_left_alone_for_a_while(healthy, how):
    made, url = healthy
    now = [0.0]
    if how == "busy":
        made.fault = JSONResponse({"error": "queue full"}, 503)
    made.delay_seconds = 0.6 if how == "slow" else 0.0
    gone = "http://127.0.0.1:9/v1"
    vlm = client(gone if how == "refuses" else url, timeout_seconds=0.3, clock=lambda: now[0])
    with pytest.raises(VlmServerError) as first:
        vlm.answer(FRAMES[:1])
    asked = len(made.requests)
    with pytest.raises(VlmServerError, match="asked again in 30 s"):
        vlm.answer(FRAMES[:1])
    assert len(made.requests) == asked
    assert first.value.data["down"] is True
    made.reset()
    now[0], vlm.url = 31.0, url
    vlm._timeout_seconds, vlm._client.timeout = 20.0, 20.0
    assert vlm.answer(FRAMES[:1]).p_yes


def test_load_models__platinum_from_the_local_store(folders, server, tmp_path, monkeypatch):
    monkeypatch.setenv("SV_MODELS__FOLDER", str(tmp_path))
    monkeypatch.setenv("SV_VLM__MAX_SIDE_PIXELS", "112")
    models = load_models(load_settings("platinum"))
    with pytest.raises(ModelError, match="streetvision models pull zai-org"):
        _ = models.vlm
    settings = load_settings("platinum")
    for name, made in ((settings.models.vlm, "glm"), (settings.models.ocr, "florence")):
        shutil.copytree(folders[made], folder_of(name, settings))
        record(name, folder_of(name, settings))
    assert models.vlm.answer(FRAMES[:1]).p_yes == models.vlm.answer(FRAMES[:1]).p_yes
    assert models.ocr.name == settings.models.ocr
    monkeypatch.setenv("SV_VLM__BACKEND", "server")
    monkeypatch.setenv("SV_VLM__URL", server[1])
    assert load_models(load_settings("platinum")).vlm.url == server[1]


def test_florence__reads_on_its_own_class(folders, monkeypatch):
    monkeypatch.setattr("streetvision_core.models.florence.MAX_TOKENS", 12)
    reader = FlorenceReader("florence", folders["florence"])
    texts = reader.read(FRAMES[0])
    assert all(isinstance(text, str) for text in texts)
    assert reader.read(FRAMES[0], [Box(10, 10, 60, 40, "sign", 0.9)]) is not None
    count_keywords(texts)


def test_florence__places_text_in_the_frame(folders, monkeypatch):
    monkeypatch.setattr("streetvision_core.models.florence.MAX_TOKENS", 4)
    reader = FlorenceReader("florence", folders["florence"])
    _, processor = reader._load()
    said = "AHEAD" + "".join(f"<loc_{v}>" for v in (0, 600, 999, 600, 999, 900, 0, 900))
    said = "</s><s>" + "ROAD WORK" + "".join(f"<loc_{v}>" for v in (0, 0, 999, 0, 999, 400, 0, 400)) + said + "</s>"
    monkeypatch.setattr(processor, "batch_decode", lambda ids, **_: [said])
    box = Box(40, 20, 100, 50, "sign", 0.9)
    found = reader.read_regions(FRAMES[0], [box])
    assert [region.text for region in found] == ["ROAD WORK", "AHEAD"]
    (x0, y0), _, (x1, y1), _ = found[0].corners
    place = readable_part(FRAMES[0].pixels, box)
    assert (x0, y0) == pytest.approx((place.left, place.top), abs=0.5)
    assert x1 == pytest.approx(place.left + place.pixels.shape[1] / place.scale, abs=0.5)
    assert box.y0 - 10 < y1 < box.y1
    assert count_keywords([region.text for region in found]).positive == 1
