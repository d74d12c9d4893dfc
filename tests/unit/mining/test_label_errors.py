import numpy as np
import pytest

from streetvision_core.data.table import FeatureTable
from streetvision_core.errors import DataError
from streetvision_core.mining.efficiency import LabelCurves, LabelPlan, compare_strategies
from streetvision_core.mining.label_errors import doubts, find_label_errors
from streetvision_core.models.evidence import EVIDENCE_NAMES
from streetvision_core.settings import MiningSettings


def make_table(n: int = 300, apart: float = 3.0, seed: int = 0) -> FeatureTable:
    """Two clouds in a few of 40 dimensions; four rows to a group."""
    rng = np.random.default_rng(seed)
    labels = (np.arange(n) // 4) % 2
    features = rng.normal(size=(n, 40))
    features[:, :3] += apart * labels[:, None]
    evidence = np.zeros((n, len(EVIDENCE_NAMES)))
    groups = [f"g{i // 4}" for i in range(n)]
    return FeatureTable.build(
        features, backbone="b", preprocessing="p/1", labels=labels, groups=groups, evidence=evidence
    )


def test_find_label_errors__finds_injected_flips() -> None:
    table = make_table()
    flipped = np.random.default_rng(1).permutation(len(table))[:20]
    table.labels[flipped] = 1 - table.labels[flipped]
    found = find_label_errors(table)
    hits = set(flipped.tolist()) & set(np.flatnonzero(found.suspect).tolist())
    assert len(hits) >= 18, "recall"
    assert len(hits) / found.suspect.sum() >= 0.8, "precision"
    assert (np.diff(found.quality[found.worst()]) >= 0).all()
    assert np.median(found.quality[flipped]) < 0.5 < np.median(found.quality)


def test_find_label_errors__clean_labels_are_left_alone() -> None:
    assert find_label_errors(make_table(apart=5.0)).suspect.mean() < 0.02


def test_doubts__judges_a_days_rows_beside_others() -> None:
    table = make_table()
    wrong = 2
    table.labels[wrong] = 1 - table.labels[wrong]
    others = table.select(np.arange(40, 300))
    others.labels[:4] = -1
    told = doubts(table.select(np.arange(40)), others)
    assert list(told) == list(table.ids[:40])
    assert told[str(wrong)][1]
    assert sum(suspect for _, suspect in told.values()) <= 3


@pytest.mark.parametrize(
    ("labels", "message"),
    [([1] * 300, "0 rows labelled 0"), ([1] * 150 + [-1] * 150, "150 without a label")],
)
def test_find_label_errors__refusals(labels: list[int], message: str) -> None:
    table = make_table()
    table.labels[:] = labels
    with pytest.raises(DataError, match=message):
        find_label_errors(table)


def test_compare_strategies__same_start_and_same_price() -> None:
    plan = LabelPlan(start=8, batch=8, most=48, seeds=2)
    curves = compare_strategies(make_table(160, apart=1.5), MiningSettings(budget=8), plan)
    assert curves.labels == [8, 16, 24, 32, 40, 48]
    assert {name: values.shape for name, values in curves.mcc.items()} == dict.fromkeys(curves.mcc, (2, 6))
    first = {name: values[:, 0].tolist() for name, values in curves.mcc.items()}
    assert first["mined"] == first["random"] == first["uncertain"]
    assert curves.mcc["random"][:, -1].mean() > curves.mcc["random"][:, 0].mean()
    again = compare_strategies(make_table(160, apart=1.5), MiningSettings(budget=8), plan)
    assert all((again.mcc[name] == curves.mcc[name]).all() for name in curves.mcc)


def test_compare_strategies__too_few_rows() -> None:
    with pytest.raises(DataError, match="300 labelled rows for 300 labels"):
        compare_strategies(make_table(), MiningSettings(), LabelPlan(most=300))


@pytest.mark.parametrize(
    ("start", "positive", "message"), [(8, 4, "of 1 class;"), (1, 24, "got 1 labels to start with")]
)
def test_compare_strategies__a_start_that_cannot_hold_both_classes(start: int, positive: int, message: str) -> None:
    """Drawing it would go on for ever; four rows are one group, and some seed judges on just that."""
    table = make_table(48)
    table.labels[:] = np.arange(48) < positive
    with pytest.raises(DataError, match=message):
        compare_strategies(table, MiningSettings(), LabelPlan(start, 4, 24, seeds=8))


def test_label_curves__needed_and_ratio() -> None:
    random, mined = np.array([[0.0, 0.2, 0.4, 0.6]] * 3), np.array([[0.0, 0.4, 0.6, 0.8]] * 3)
    curves = LabelCurves([10, 20, 30, 40], {"random": random, "mined": mined})
    assert curves.needed("random", 0.4) == pytest.approx(30)
    assert curves.needed("mined", 0.5) == pytest.approx(25)
    assert curves.needed("random", 0.7) is None
    ratio = curves.ratio(0.4)
    assert (ratio["labels"], ratio["labels_random"]) == (pytest.approx(20), pytest.approx(30))
    assert ratio["ratio"] == ratio["low"] == ratio["high"] == 1.5
    assert curves.ratio(0.7)["ratio"] is None
