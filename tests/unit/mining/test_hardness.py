import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streetvision_core.cascade.decisions import Decisions
from streetvision_core.data.table import FeatureTable
from streetvision_core.errors import DataError
from streetvision_core.mining import hardness as h
from streetvision_core.models.evidence import EVIDENCE_NAMES, classifier_evidence, detector_evidence
from streetvision_core.types import Box, Verdict


def make_probabilities(final: list[float], **changes: object) -> h.Probabilities:
    n = len(final)
    values: dict[str, object] = {"classifier": np.full(n, np.nan), "detectors": np.full(n, np.nan)}
    values |= {"certified": np.ones(n, bool)} | changes
    return h.Probabilities(np.array(final), **values)  # type: ignore[arg-type]


def make_evidence(n: int, **columns: list[float]) -> np.ndarray:
    evidence = np.zeros((n, len(EVIDENCE_NAMES)), np.float32)
    for name, values in columns.items():
        evidence[:, EVIDENCE_NAMES.index(name)] = values
    return evidence


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40))
def test_rank01__orders_as_the_values_do(values: list[float]) -> None:
    array = np.array(values)
    ranked = h.rank01(array)
    slow = [sum(other < value for other in values) / max(len(values) - 1, 1) for value in values]
    assert ranked.tolist() == slow
    assert ((ranked >= 0) & (ranked <= 1)).all()


@given(st.lists(st.floats(0.001, 0.999), min_size=2, max_size=40))
def test_uncertainty__orders_as_the_entropy_does(p: list[float]) -> None:
    array = np.round(np.array(p), 4)
    entropy = -array * np.log2(array) - (1 - array) * np.log2(1 - array)
    assert np.allclose(h.rank01(np.round(h.uncertainty(array), 9)), h.rank01(np.round(entropy, 9)))


def test_stage_disagreement__is_zero_where_a_stage_did_not_run() -> None:
    found = h.stage_disagreement(np.array([0.9, 0.2, np.nan]), np.array([0.1, np.nan, 0.5]))
    assert found.tolist() == pytest.approx([0.8, 0.0, 0.0])


def test_detector_disagreement__counts_and_scores() -> None:
    evidence = make_evidence(
        4,
        **{
            "dense-lite2.cone.max": [0.9, 0.9, 0.0, np.nan],
            "dense-lite2.cone.count": [3, 3, 0, np.nan],
            "yolo12n.cone.max": [0.9, 0.0, 0.0, 0.9],
            "yolo12n.cone.count": [3, 0, 0, 1],
        },
    )
    assert h.detector_disagreement(evidence).tolist() == pytest.approx([0.0, 0.45 + 0.5 * 0.75, 0.0, 0.0])


def test_score__a_rare_uncertified_exit_ranks_high() -> None:
    certified = np.array([True] * 9 + [False])
    table = FeatureTable.build(np.zeros((10, 2)), backbone="b", preprocessing="p/1")
    scores = h.score(table, make_probabilities([0.9] * 10, certified=certified))
    assert scores.ranked["uncertified"].tolist() == [0.0] * 9 + [1.0]
    assert int(scores.total.argmax()) == 9
    assert ((scores.total >= 0) & (scores.total <= 1)).all()


def test_score__weights_are_relative() -> None:
    evidence = make_evidence(3)
    probabilities = make_probabilities([0.5001, 0.9, 0.1])
    once = h.score_evidence(evidence, probabilities, {"uncertainty": 1.0})
    twice = h.score_evidence(evidence, probabilities, {"uncertainty": 2.0})
    assert once.total.tolist() == twice.total.tolist() == [1.0, 0.0, 0.0]


def test_score_verdicts__equals_score_of_the_table() -> None:
    boxes = {"dense-lite2": [Box(0, 0, 9, 9, "cone", 0.9)], "yolo12n": []}
    evidence = (classifier_evidence(2.0, 0.01), detector_evidence(boxes, 99, 99, 0.1))
    verdicts = [
        Verdict(0.3, "detectors", False, evidence, "v1", "certified", 0.1),
        Verdict(0.9, "classifier", True, evidence[:1], "v1", "certified", 0.1),
    ]
    scores = h.score_verdicts(verdicts)
    assert scores.raw["stage_disagreement"].tolist() == pytest.approx([1 / (1 + np.exp(-2.0)) - 0.3, 0.0])
    assert scores.raw["detector_disagreement"][0] > 0.5
    assert scores.raw["detector_disagreement"][1] == 0
    assert len(h.score_verdicts([])) == 0


def test_probabilities__refuses_what_is_not_finite() -> None:
    with pytest.raises(DataError, match="1 not finite"):
        make_probabilities([0.5, np.nan])
    with pytest.raises(DataError, match="2 rows of evidence and 1 answers"):
        h.score_evidence(make_evidence(2), make_probabilities([0.7]))


def test_probabilities__from_decisions_equal_those_from_verdicts() -> None:
    boxes = {"dense-lite2": [Box(0, 0, 9, 9, "cone", 0.9)], "yolo12n": []}
    evidence = (classifier_evidence(2.0, 0.01), detector_evidence(boxes, 99, 99, 0.1))
    verdicts = [
        Verdict(0.3, "detectors", False, evidence, "v1", "certified", 0.1),
        Verdict(0.9, "classifier", True, evidence[:1], "v1", "certified", 0.1),
    ]
    one = h.Probabilities.from_verdicts(verdicts)
    other = h.Probabilities.from_decisions(Decisions.of_verdicts(verdicts), np.array([2.0, 2.0]))
    for name in ("final", "classifier", "detectors", "certified"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
