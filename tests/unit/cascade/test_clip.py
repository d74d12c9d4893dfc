import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streetvision_core.cascade.clip import MAX_LOGIT, find_segments, predict_clip, smooth
from streetvision_core.settings import VideoSettings
from streetvision_core.types import Clip, Evidence, Frame, Verdict

SEEN = (Evidence("classifier", {"logit": 0.0}),)


class Reader:
    """Answers with the grey level; black frames are those on which stage 1 failed."""

    def __init__(self, seconds_per_batch=0.0):
        self.batches = []
        self.deadlines = []

    def predict(self, frames, deadline_seconds=None):
        self.batches.append(len(frames))
        self.deadlines.append(deadline_seconds)
        levels = [float(frame.pixels.mean()) / 255 for frame in frames]
        return [Verdict(p, "classifier", False, SEEN if p else (), "v1", "certified", 0.01) for p in levels]


def clip(levels, step=1.0):
    frames = [
        Frame.from_pixels(np.full((8, 8, 3), round(level * 255), np.uint8), str(i)) for i, level in enumerate(levels)
    ]
    return Clip(tuple(frames), tuple(i * step for i in range(len(frames))), "clip")


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        ([0.1] * 8, []),
        ([0.9] * 8, [(0, 7)]),
        ([0.1] * 4 + [0.9] * 4, [(3.5, 7)]),
        ([0.9] * 4 + [0.1] * 4, [(0, 3.5)]),
        ([0.05] * 5 + [0.95] * 6 + [0.05] * 5, [(4.5, 10.5)]),
        ([0.05] * 5 + [0.8] + [0.05] * 5, []),
        ([0.9] * 5 + [0.3] + [0.9] * 5, [(0, 10)]),
    ],
    ids=["never", "always", "begins", "ends", "passes", "one false alarm", "one miss"],
)
def test_predict_clip__finds_the_zone(levels, expected):
    answer = predict_clip(clip(levels), Reader())
    found = [(s.start_seconds, s.end_seconds) for s in answer.segments]
    assert len(found) == len(expected)
    assert np.ravel(found) == pytest.approx(np.ravel(expected), abs=0.3)
    assert answer.roadwork == bool(expected)
    assert answer.examined == ((0.0, len(levels) - 1.0),)


def test_predict_clip__is_told_whole_and_honest():
    told = predict_clip(clip([0.9, 0.0, 0.9]), Reader()).to_dict()
    assert told["calibrated"] is False and "not" in told["notes"][-1]
    assert any("first stage failed on 1 of 3" in note for note in told["notes"])
    assert [moment["at_seconds"] for moment in told["timeline"]] == [0.0, 1.0, 2.0]
    assert "evidence" not in told["timeline"][0]
    assert told["segments"][0]["start_seconds"] == 0.0


def test_predict_clip__answers_in_batches_and_in_order():
    reader = Reader()
    answer = predict_clip(clip(np.linspace(0.2, 0.8, 21)), reader)
    assert reader.batches == [8, 8, 5]
    p = [moment.verdict.p_roadwork for moment in answer.timeline]
    assert p == sorted(p) and len(p) == 21


def test_predict_clip__late_frames_are_told():
    reader = Reader()
    answer = predict_clip(clip([0.9] * 40), reader, deadline_seconds=0.0)
    assert reader.batches == [8]
    times = [moment.seconds for moment in answer.timeline]
    assert times == [4.0 * i for i in range(8)], "what was answered is spread out"
    assert any("32 of 40 frames" in note for note in answer.notes)


def test_predict_clip__no_frame_outvotes_all_others():
    certain = clip([1e-9 + 0.2] * 6 + [1.0] + [0.2] * 6, 0.2)
    assert not predict_clip(certain, Reader(), VideoSettings(smooth_seconds=1.0)).roadwork
    assert predict_clip(clip([1.0] * 9), Reader()).p_roadwork == pytest.approx(1 / (1 + np.exp(-MAX_LOGIT)))


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=30), st.floats(0.05, 5))
def test_smooth__stays_between_the_extremes(logits, deviation):
    values = np.array(logits)
    made = smooth(np.arange(len(values), dtype=float), values, deviation)
    assert values.min() - 1e-9 <= made.min() and made.max() <= values.max() + 1e-9


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=30))
def test_find_segments__cover_exactly_what_lies_above(logits):
    values, times = np.array(logits), np.arange(len(logits), dtype=float)
    found = find_segments(times, values, 0.0, float(len(logits) - 1))
    for at, value in zip(times, values, strict=True):
        inside = any(s.start_seconds <= at <= s.end_seconds for s in found)
        assert inside == (value > 0) or abs(value) < 1e-6
    assert all(a.end_seconds <= b.start_seconds for a, b in itertools.pairwise(found))
