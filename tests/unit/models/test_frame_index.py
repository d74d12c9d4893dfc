import itertools

import numpy as np
import pytest

from streetvision_core.errors import VideoSearchError
from streetvision_core.images.preprocess import get_preprocessor
from streetvision_core.images.video import open_video
from streetvision_core.images.video_writing import encode_video
from streetvision_core.models import frame_index
from streetvision_core.models.frame_index import FeatureEncoder, FrameIndex, best_stretches, build_index
from tests.unit.cascade.toy_street import ColourBackbone

ENCODER = FeatureEncoder(ColourBackbone(), get_preprocessor("letterbox-224/1"))


class KilledError(Exception):
    """The process is killed."""


class Dying:
    """An encoder that stops after some frames."""

    name = ENCODER.name

    def __init__(self, frames):
        self.left = frames

    def encode(self, frames):
        self.left -= len(frames)
        if self.left < 0:
            raise KilledError
        return ENCODER.encode(frames)


@pytest.fixture(scope="module")
def video():
    colours = np.random.default_rng(0).integers(20, 235, (40, 3))
    return open_video(encode_video([np.full((48, 64, 3), c, np.uint8) for c in colours], 2, quality=4), "colours.mp4")


def test_build_index__is_continued_where_it_stopped(video, tmp_path, monkeypatch):
    monkeypatch.setattr(frame_index, "SAVE_EVERY", 8)
    whole = build_index(video, ENCODER, 0.5)
    with pytest.raises(KilledError):
        build_index(video, Dying(20), 0.5, tmp_path)
    (path,) = tmp_path.glob("*.npz")
    assert not FrameIndex.load(path).complete and len(FrameIndex.load(path).seconds) == 16
    counted = Dying(24)
    continued = build_index(video, counted, 0.5, tmp_path)
    assert counted.left == 0, "sixteen rows were not made again"
    assert continued.seconds == pytest.approx(whole.seconds, abs=0.01)
    assert np.array_equal(continued.rows, whole.rows)


def test_similarity__the_example_itself_is_the_nearest(video):
    index = build_index(video, ENCODER, 0.5)
    for row in (3, 20, 39):
        assert int(np.argmax(index.similarity(index.rows[[row]].astype(np.float32)))) == row


def test_encode_text__says_what_would_help():
    with pytest.raises(VideoSearchError, match="--like"):
        ENCODER.encode_text("cones on the road")


def test_load__a_broken_file_is_named(tmp_path):
    path = tmp_path / "index.npz"
    path.write_bytes(b"half a file")
    with pytest.raises(VideoSearchError, match="built again"):
        FrameIndex.load(path)


def test_best_stretches__do_not_overlap_and_stay_inside():
    rng = np.random.default_rng(0)
    for _ in range(50):
        seconds, scores = np.arange(60) * 2.0, rng.random(60)
        found = best_stretches(seconds, scores, 5, 10.0, 119.0)
        assert len(found) == 5
        assert all(0 <= a < b <= 119 and b - a <= 10 for a, b in found)
        assert all(x[1] <= y[0] for x, y in itertools.pairwise(found))
        means = [scores[np.abs(seconds - at) <= 5].mean() for at in seconds]
        assert any(a <= seconds[np.argmax(means)] <= b for a, b in found)


def test_best_stretches__lie_round_the_zone_and_not_at_its_edge():
    seconds = np.arange(60) * 2.0
    scores = np.where((seconds >= 40) & (seconds <= 50), 0.9, 0.1)
    scores[25] = 0.95
    assert best_stretches(seconds, scores, 1, 10.0, 119.0) == [(41.0, 51.0)]
