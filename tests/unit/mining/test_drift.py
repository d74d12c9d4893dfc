import json

import numpy as np
import pytest

from streetvision_core.errors import DataError
from streetvision_core.mining.drift import ALPHA, KINDS, DriftState, Watch, gauges, input_distance, one_of_each

DAY = "2026-11-20"


def watched(scores, threshold=20.0, seed=0):
    return Watch().update(scores, DAY, threshold, seed)


def test_watch__false_alarms_at_any_time_are_as_rare_as_promised():
    """Ville: of runs in which nothing changes, at most alpha ever alarm, looked at after each of 300 frames."""
    rng = np.random.default_rng(0)
    runs, alpha = 300, 0.1
    kinds = (rng.standard_normal, rng.random, lambda n: rng.integers(0, 3, n))
    alarms = [bool(watched(kinds[i % 3](300), 1 / alpha, i).alarm_day) for i in range(runs)]
    # an upper 99.9 % binomial limit at rate alpha: 0.1 + 3.1 standard errors
    assert np.mean(alarms) <= alpha + 3.1 * np.sqrt(alpha * (1 - alpha) / runs)


@pytest.mark.parametrize("shift", [0.8, -0.8])
def test_watch__a_shift_either_way_is_found(shift):
    rng = np.random.default_rng(1)
    found = [watched(np.r_[rng.standard_normal(200), rng.standard_normal(200) + shift], seed=i) for i in range(20)]
    assert np.mean([bool(watch.alarm_day) for watch in found]) >= 0.9


def test_watch__in_pieces_is_as_at_once_when_no_scores_tie():
    scores = np.random.default_rng(2).standard_normal(60)
    whole = watched(scores)
    parts = watched(scores[:25]).update(scores[25:], DAY, 20.0, 0)
    assert parts.scores == whole.scores
    assert parts.evidence != 1.0


def test_watch__not_a_number_is_refused():
    with pytest.raises(DataError, match="1 scores that are not finite"):
        watched([0.0, np.nan])


def test_state__goes_on_over_days_and_survives_the_disk(tmp_path):
    rng = np.random.default_rng(3)
    state = DriftState.start("v1", "2026-11-01")
    for number in range(1, 9):
        shift = 0.0 if number < 5 else 1.5
        scores = {kind: rng.standard_normal(60) + (shift if kind == "input" else 0) for kind in KINDS}
        state = state.watch(f"2026-11-{number:02d}", scores)
        state.save(tmp_path / "drift.json")
        assert DriftState.load(tmp_path / "drift.json") == state
    assert state.watches["input"].alarm_day >= "2026-11-05"
    assert not state.watches["prediction"].alarm_day
    assert state.threshold == len(KINDS) / ALPHA
    assert gauges(state)["sv_drift_alarm"] == {"input": 1.0, "prediction": 0.0, "calibration": 0.0}
    assert json.loads((tmp_path / "drift.json").read_text())["since"] == "2026-11-01"


def test_state__a_day_is_not_watched_twice():
    state = DriftState.start("v1", DAY).watch(DAY, {"input": [1.0]})
    with pytest.raises(DataError, match="later day"):
        state.watch(DAY, {"input": [1.0]})


def test_state__a_broken_file_is_named(tmp_path):
    (tmp_path / "drift.json").write_text("{")
    with pytest.raises(DataError, match="begins anew"):
        DriftState.load(tmp_path / "drift.json")


def test_watch__capital_stays_a_number_however_clear_the_drift():
    rng = np.random.default_rng(4)
    state = watched(np.sort(rng.random(3000)))
    assert np.isfinite(state.evidence)
    assert state.evidence > 1e6


def test_input_distance__is_that_of_the_nearest_training_rows():
    reference = np.eye(4, dtype=np.float32)
    rows = np.array([[2, 0, 0, 0], [1, 1, 0, 0]], np.float32)
    assert input_distance(rows, reference, 1) == pytest.approx([0, 1 - 1 / np.sqrt(2)], abs=1e-6)
    assert input_distance(rows, reference[:2], 5) == pytest.approx([0.5, 1 - 1 / np.sqrt(2)], abs=1e-6)


def test_one_of_each__a_drive_counts_once():
    rows = one_of_each(["a", "a", "b", "a", "c"], 0)
    assert len(rows) == 3
    assert 2 in rows
    assert 4 in rows


def test_state__a_night_over_past_days_draws_as_the_night_of_its_last_day():
    scores = {"input": np.random.default_rng(2).random(20)}
    start = DriftState.start("v0001", "2026-11-01")
    alone, past = (start.watch(night, scores) for night in ("2026-11-20", "2026-11-18_to_2026-11-20"))
    assert past.watches["input"].evidence == alone.watches["input"].evidence
