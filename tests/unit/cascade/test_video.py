"""Videos through the toy street's real cascade: which way is taken, and what is found."""

import numpy as np
import pytest

from streetvision_core.cascade.engine import Cascade
from streetvision_core.cascade.policy import get_policy
from streetvision_core.cascade.video import Query, predict_video
from streetvision_core.errors import VideoBrokenError, VideoSearchError, VlmError
from streetvision_core.images.video import Sampling, open_video, read_clip
from streetvision_core.images.video_writing import encode_video
from streetvision_core.models.factory import ModelSet
from streetvision_core.models.vlm.answers import YesNo
from streetvision_core.settings import VideoSettings
from tests.unit.cascade.toy_street import HEIGHT, OCR_WIDTH, WIDE, ColourBackbone, toy_models

FPS = 4
SHORT = VideoSettings(direct_seconds=6, keyframes_seconds=20, best_clips=2, clip_seconds=8)


def street(cones, seed):
    pixels = np.random.default_rng(seed).normal(110, 25, (HEIGHT, WIDE, 3))
    for i in range(6 if cones else 0):
        pixels[16:24, 20 + 40 * i : 28 + 40 * i] = (240, 120, 20)
    return np.clip(pixels, 0, 255).astype(np.uint8)


def film(seconds, zone, limits=SHORT):
    """A drive with cones from zone[0] to zone[1] seconds."""
    frames = [street(zone[0] <= i / FPS < zone[1], i) for i in range(seconds * FPS)]
    return open_video(encode_video(frames, FPS, quality=4), "drive.mp4", limits)


@pytest.fixture(scope="module")
def cascade(toy):
    _, _, head, calibration, _ = toy
    return Cascade(toy_models(), head, calibration, get_policy("certified"), "v-test", OCR_WIDTH)


@pytest.mark.parametrize(
    ("seconds", "zone", "mode"), [(6, (3, 6), "direct"), (16, (5, 12), "keyframes"), (60, (30, 37), "search")]
)
def test_predict_video__takes_the_way_of_its_length_and_finds_the_zone(cascade, seconds, zone, mode):
    answer = predict_video(film(seconds, zone), cascade)
    assert answer.mode == mode and answer.roadwork
    best = max(answer.segments, key=lambda s: s.p_roadwork)
    assert (best.start_seconds, best.end_seconds) == pytest.approx(zone, abs=1.6)
    assert answer.seconds == pytest.approx(seconds, abs=0.3)


def test_predict_video__a_long_video_says_what_was_not_looked_at(cascade):
    answer = predict_video(film(60, (30, 37)), cascade)
    assert 1 <= len(answer.examined) <= 2 and sum(b - a for a, b in answer.examined) <= 16
    assert all(any(a <= m.seconds <= b for a, b in answer.examined) for m in answer.timeline)
    assert len(answer.screening) == 30
    assert any("answered only the best" in note for note in answer.notes)


def test_predict_video__nothing_there(cascade):
    answer = predict_video(film(60, (99, 99)), cascade)
    assert not answer.roadwork and not answer.segments


def test_predict_video__examples_find_what_looks_like_them(cascade):
    video = film(40, (21, 28))
    example = read_clip(film(2, (0, 2)), Sampling(9.0)).frames
    answer = predict_video(video, cascade, Query(examples=example))
    best = max(answer.screening, key=lambda scored: scored[1])
    assert 21 <= best[0] <= 28
    assert any("likeness to 1 example" in note for note in answer.notes)


def test_predict_video__stretches_found_elsewhere(cascade):
    answer = predict_video(film(30, (10, 20)), cascade, Query(spans=((9.0, 13.0),), found_by="somebody"))
    assert answer.examined == ((9.0, 13.0),) and answer.roadwork and not answer.screening
    assert any("somebody" in note for note in answer.notes)


@pytest.mark.parametrize(("spans", "raises"), [((), VideoSearchError), (((40.0, 50.0),), VideoBrokenError)])
def test_predict_video__nothing_to_answer_is_named(cascade, spans, raises):
    with pytest.raises(raises):
        predict_video(film(6, (3, 6)), cascade, Query(spans=spans, found_by="somebody"))


def test_predict_video__the_index_is_kept_and_used_again(cascade, tmp_path, monkeypatch):
    video = film(30, (10, 20))
    first = predict_video(video, cascade, store=tmp_path)
    assert len(list(tmp_path.glob("*.npz"))) == 1
    monkeypatch.setattr("streetvision_core.models.frame_index.extract", None)
    assert predict_video(video, cascade, store=tmp_path).screening == first.screening


def test_predict_video__tells_its_progress(cascade):
    told = []
    predict_video(film(30, (10, 20)), cascade, progress=lambda what, seconds: told.append((what, seconds)))
    assert {what for what, _ in told} == {"indexing", "answering"}


class Witness:
    """A model that is asked about a stretch: says the same each time, or fails."""

    name = "witness"

    def __init__(self, p_yes):
        self.p_yes, self.asked = p_yes, []

    def answer(self, frames, question=None):
        self.asked.append(len(frames))
        if self.p_yes is None:
            raise VlmError("no answer", "an answer", "ask again")
        return YesNo(self.p_yes, 1.0, "yes")


def with_witness(toy, witness):
    _, _, head, calibration, _ = toy
    base = toy_models()
    models = ModelSet(
        ColourBackbone, base.preprocessor, lambda: base.detectors, ocr=lambda: base.ocr, video_vlm=lambda: witness
    )
    return Cascade(models, head, calibration, get_policy("certified"), "v-test", OCR_WIDTH)


@pytest.mark.parametrize(("p_yes", "moves"), [(0.99, 1), (0.01, -1)])
def test_predict_video__an_image_text_model_has_half_the_say(cascade, toy, p_yes, moves):
    witness = Witness(p_yes)
    video = film(6, (3, 6))
    alone, together = predict_video(video, cascade), predict_video(video, with_witness(toy, witness))
    assert witness.asked == [8]
    assert [o.model for o in together.opinions] == ["witness"] and not alone.opinions
    shift = [b.smoothed - a.smoothed for a, b in zip(alone.timeline, together.timeline, strict=True)]
    assert all(moves * s >= -1e-9 for s in shift) and abs(sum(shift)) > 0.5


def test_predict_video__a_model_that_cannot_be_asked_is_told(toy):
    answer = predict_video(film(6, (3, 6)), with_witness(toy, Witness(None)))
    assert answer.roadwork and any("could not be asked" in note for note in answer.notes)
