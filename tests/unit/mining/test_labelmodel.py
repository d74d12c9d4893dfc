import numpy as np
import pytest

from streetvision_core.errors import DataError
from streetvision_core.mining.accept import Judge, queue
from streetvision_core.mining.labelmodel import LabelModel, as_matrix

SOURCES = ("sharp", "fair", "coin", "quiet")
RIGHT = (0.95, 0.75, 0.5, 0.9)


def simulate(n, seed, silent=0.6, right=RIGHT, prevalence=0.3):
    """Sources of known accuracy that err independently; the last one is mostly silent."""
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < prevalence).astype(np.int8)
    correct = rng.random((n, len(right))) < np.array(right)
    said = np.where(correct == (y == 1)[:, None], 0.8, 0.2)
    said[rng.random(n) < silent, -1] = np.nan
    return said, y


def test_fit__finds_the_worth_of_each_source():
    said, y = simulate(4000, 0)
    model = LabelModel.fit(said, y, SOURCES)
    accuracies = [q.accuracy for q in model.qualities]
    assert accuracies == pytest.approx(RIGHT, abs=0.03)
    assert all(q.low <= q.accuracy <= q.high for q in model.qualities)
    expected = np.log(np.array(RIGHT) / (1 - np.array(RIGHT)))
    assert [q.strongest for q in model.qualities] == pytest.approx(expected, abs=0.3)


def test_posterior__is_that_of_bayes_and_better_than_majority_and_best_source():
    model = LabelModel.fit(*simulate(4000, 0), SOURCES)
    said, y = simulate(4000, 1)
    p = model.posterior(said)
    exact = np.log(0.3 / 0.7) + np.nansum(
        np.where(np.isnan(said), 0, np.sign(said - 0.5)) * np.log(np.array(RIGHT) / (1 - np.array(RIGHT))), axis=1
    )
    assert np.abs(p - 1 / (1 + np.exp(-exact))).mean() < 0.02
    accuracy = np.mean((p > 0.5) == y)
    majority = np.mean((np.nanmean(said, axis=1) > 0.5) == y)
    best = np.mean((said[:, 0] > 0.5) == y)
    assert accuracy > max(majority, best)
    for low, high in ((0, 0.1), (0.9, 1)):
        inside = (p >= low) & (p <= high)
        assert abs(p[inside].mean() - y[inside].mean()) < 0.02, "what it is sure of is as often so"


def test_fit__few_labels_are_shrunk_towards_nothing():
    said, y = simulate(4000, 0)
    few, many = (LabelModel.fit(said[:n], y[:n], SOURCES) for n in (8, 4000))
    assert abs(few.qualities[0].strongest) < abs(many.qualities[0].strongest)
    nobody = np.full((1, 4), np.nan)
    assert few.posterior(nobody)[0] == pytest.approx((y[:8].sum() + 1) / 10)


def test_fit__without_any_label_dawid_and_skene_still_tell_who_is_good():
    said, y = simulate(3000, 2, silent=0.0, right=(0.9, 0.8, 0.7, 0.85))
    model = LabelModel.fit(said, np.full(3000, -1, np.int8), SOURCES, unlabelled_weight=1.0)
    strength = [q.strongest for q in model.qualities]
    assert strength[0] > strength[3] > strength[1] > strength[2]
    assert np.mean((model.posterior(said) > 0.5) == y) > np.mean((np.mean(said, axis=1) > 0.5) == y)


@pytest.mark.parametrize(
    ("said", "labels", "match"),
    [
        (np.array([[1.5]]), [1], r"outside \[0, 1\]"),
        (np.array([[0.5, 0.5]]), [1], "one column per source"),
        (np.array([[0.5]]), [-1], "no labelled frame"),
    ],
)
def test_fit__bad_input_is_named(said, labels, match):
    with pytest.raises(DataError, match=match):
        LabelModel.fit(said, np.array(labels, np.int8), ("one",))


def test_judge__what_is_taken_is_as_right_as_promised():
    """The certificate by simulation: runs whose taken labels are wrong more often than promised are rare."""
    precision, broken, taken = 0.95, 0, []
    fresh, truth = simulate(4000, 999)
    for seed in range(20):
        said, y = simulate(700, seed)
        judge = Judge.fit(said, y, [f"{seed}-{i}" for i in range(700)], SOURCES, precision=precision)
        p = judge.posterior(fresh)
        accepted = judge.accepted(p)
        taken.append(accepted.mean())
        for side in (p > 0.5, p < 0.5):
            rows = accepted & side
            broken += bool(rows.any()) and np.mean((p[rows] > 0.5) != truth[rows]) > 1 - precision
    assert np.mean(taken) > 0.3
    assert broken <= 20 * 0.05 + 3 * np.sqrt(20 * 0.05 * 0.95)


def test_judge__takes_nothing_before_anything_is_reviewed():
    judge = Judge.fit(np.empty((0, 2)), np.empty(0, np.int8), [], ("a", "b"), precision=0.97)
    p = judge.posterior(np.array([[0.9, 0.9]]))
    assert p.tolist() == [0.5]
    assert not judge.accepted(p).any()
    assert "too few" in judge.band.reason


def test_judge__a_precision_of_one_cannot_be_promised():
    with pytest.raises(DataError, match=r"annotate\.precision"):
        Judge.fit(np.empty((0, 1)), np.empty(0, np.int8), [], ("a",), precision=1.0)


def test_queue__least_certain_first_and_one_drive_does_not_fill_it():
    p = np.array([0.51, 0.52, 0.53, 0.8])
    assert queue(p, ["d", "d", "d", "e"]) == [0, 3, 1, 2]


def test_as_matrix__silence_is_not_a_number():
    matrix = as_matrix([{"a": 0.5}, {}], ("a", "b"))
    assert matrix[0, 0] == 0.5
    assert np.isnan(matrix).sum() == 3
    assert as_matrix([], ("a", "b")).shape == (0, 2)
