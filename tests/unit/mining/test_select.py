import json
from pathlib import Path

import numpy as np
import pytest

from streetvision_core.data.table import FeatureTable
from streetvision_core.errors import DataError
from streetvision_core.mining.hardness import HardnessScores, Probabilities, score
from streetvision_core.mining.select import MinedSet, select
from streetvision_core.models.evidence import EVIDENCE_NAMES
from streetvision_core.settings import MiningSettings

SETTINGS = MiningSettings()


def make_pool(
    n: int = 400, n_groups: int = 40, dim: int = 200, seed: int = 0, noise: float = 1.0
) -> tuple[FeatureTable, HardnessScores]:
    rng = np.random.default_rng(seed)
    groups = np.arange(n) % n_groups
    scenes = rng.standard_normal((n_groups, dim))
    features = scenes[groups] + noise * rng.standard_normal((n, dim))
    evidence = rng.random((n, len(EVIDENCE_NAMES)))
    table = FeatureTable.build(
        features,
        backbone="b",
        preprocessing="p/1",
        ids=[f"q{i}" for i in range(n)],
        groups=[f"g{g}" for g in groups],
        evidence=evidence,
    )
    p = rng.beta(0.3, 0.3, n)
    answers = Probabilities(p, rng.random(n), np.where(rng.random(n) < 0.5, p, np.nan), rng.random(n) < 0.8)
    return table, score(table, answers)


def test_select__is_deterministic_by_seed() -> None:
    table, hardness = make_pool()
    first, again, other = (select(table, hardness, 50, SETTINGS, seed=s) for s in (1, 1, 2))
    assert first == again
    assert first.ids != other.ids
    assert len(set(first.ids)) == len(first.ids) == 50


def test_select__takes_the_hard_ones_and_a_few_at_random() -> None:
    table, hardness = make_pool()
    mined = select(table, hardness, 50, SETTINGS)
    probes = [item for item in mined.items if item.reasons == ("random probe",)]
    hard = [item.hardness for item in mined.items if item not in probes]
    assert len(probes) == 5
    assert mined.reason_counts()["random probe"] == 5
    assert np.mean(hard) > np.quantile(hardness.total, 0.75)


def test_select__random_probe_does_not_look_at_scores() -> None:
    table, hardness = make_pool()
    turned = HardnessScores(hardness.raw, hardness.ranked, 1.0 - hardness.total, hardness.weights)
    both = [select(table, scores, 50, SETTINGS) for scores in (hardness, turned)]
    assert both[0].ids[:5] == both[1].ids[:5]
    assert not set(both[0].ids[5:25]) & set(both[1].ids[5:25])


def test_select__main_reason_is_what_adds_most() -> None:
    table, hardness = make_pool()
    mined = select(table, hardness, 60, SETTINGS)
    assert set(mined.reason_counts()) <= {
        "uncertain", "stages disagree", "detectors disagree", "exit not certified", "random probe"
    }  # fmt: skip
    for item in mined.items[6:]:
        if item.reasons[0] == "uncertain":
            assert 0.4 * item.components["uncertainty"] >= 0.25 * item.components["stage_disagreement"] - 1e-3
        assert len(set(item.reasons)) == len(item.reasons)


@pytest.mark.parametrize("cap", [1, 3])
def test_select__group_cap_holds(cap: int) -> None:
    table, hardness = make_pool()
    mined = select(table, hardness, 200, MiningSettings(group_cap=cap))
    counts = np.unique([item.group for item in mined.items], return_counts=True)[1]
    assert counts.max() == cap
    assert len(mined.items) == min(200, 40 * cap)


def test_select__leaves_out_near_duplicates_of_today_and_of_earlier_days() -> None:
    table, hardness = make_pool(noise=0.05)
    mined = select(table, hardness, 100, SETTINGS)
    features = table.features[[item.row for item in mined.items]]
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    cosines = unit @ unit.T - 2 * np.eye(len(unit))
    assert cosines.max() < SETTINGS.near_duplicate_cosine
    assert len(mined.items) == 40
    assert mined.near_duplicates == 360
    assert select(table, hardness, 100, SETTINGS, known=features).items == ()


def test_select__diversity_covers_more_groups() -> None:
    table, hardness = make_pool(n=600, n_groups=60, noise=0.3)
    covered = [
        len({item.group for item in select(table, hardness, 60, MiningSettings(diversity=d)).items}) for d in (0.0, 0.9)
    ]
    assert covered[1] > covered[0]
    assert covered[1] >= 55


@pytest.mark.parametrize(("n", "budget", "expected"), [(3, 10, 3), (5, 0, 0), (1, 1, 1)])
def test_select__small_pools(n: int, budget: int, expected: int) -> None:
    table, hardness = make_pool(n, n)
    assert len(select(table, hardness, budget, SETTINGS).items) == expected


def test_select__empty_pool() -> None:
    table, hardness = make_pool(3, 3)
    nothing = np.zeros(3, bool)
    empty = HardnessScores(
        {k: v[nothing] for k, v in hardness.raw.items()},
        {k: v[nothing] for k, v in hardness.ranked.items()},
        hardness.total[nothing],
        hardness.weights,
    )
    assert select(table.select(nothing), empty, 10, SETTINGS).items == ()


def test_select__refuses_scores_of_another_table() -> None:
    table, _ = make_pool(4, 4)
    _, hardness = make_pool(5, 5)
    with pytest.raises(DataError, match="5 scores for 4 rows"):
        select(table, hardness, 2, SETTINGS)


def test_mined_set__round_trip(tmp_path: Path) -> None:
    table, hardness = make_pool()
    mined = select(table, hardness, 20, SETTINGS)
    mined.save(tmp_path / "mined.json")
    assert MinedSet.load(tmp_path / "mined.json") == mined
    assert json.loads((tmp_path / "mined.json").read_text())["considered"] == 400
