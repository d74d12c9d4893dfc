import json
from dataclasses import replace

import numpy as np
import pytest

from streetvision_core.cascade.crossval import ALL, cross_validate
from streetvision_core.errors import DataError
from streetvision_core.training.spec import CandidateSpec
from tests.unit.cascade.toy_street import toy_settings

FAST = [CandidateSpec("baseline", weight_decay=0.1)]


@pytest.fixture(scope="module")
def small(toy):
    return toy[0].select(np.arange(420))


@pytest.fixture(scope="module")
def report(small):
    seen = []
    found = cross_validate(
        small, toy_settings(), folds=3, shuffles=2, specs=FAST, progress=lambda d, t: seen.append((d, t))
    )
    assert seen == [(i + 1, 6) for i in range(6)]
    return found


def test_cross_validate__every_row_is_answered_by_others(report, small):
    pooled = report.cell("certified")
    assert pooled.n == len(small) and pooled.positives == small.labels.sum()
    assert pooled.metrics["mcc"].mean > 0.5 and pooled.metrics["mcc"].deviation < 0.2
    assert report.heads == {"baseline": 6} and report.skipped == ()


def test_cross_validate__cells(report):
    assert {c.policy for c in report.cells} == {"certified", "plan"}
    assert report.cell("plan", "toyland", "native").n + report.cell("plan", "toyland", "crop-224").n == (
        report.cell("plan", "toyland").n
    )
    with pytest.raises(KeyError):
        report.cell("plan", "moon")
    assert sum(report.exits["certified"].values()) == pytest.approx(1.0)


def test_cross_validate__by_origin_learns_from_the_others_alone(small):
    """The rule is turned round on one origin: whoever learns elsewhere must get that origin wrong."""
    odd = np.array(small.origins) == "elsewhere"
    turned = replace(small, labels=np.where(odd, 1 - small.labels, small.labels).astype(np.int8))
    found = cross_validate(
        turned, toy_settings(), shuffles=1, specs=FAST, policies=("certified",), by_origin=True, apart={"odd": odd}
    )
    assert found.folds == 2
    assert found.cell("certified", "elsewhere").metrics["auc"].mean < 0.4
    assert found.cell("certified", "odd").metrics == found.cell("certified", "elsewhere").metrics


def test_cross_validate__json_and_markdown(report):
    json.dumps(report.to_dict(), allow_nan=False)
    lines = report.to_markdown("certified").splitlines()
    assert lines[0].startswith("| origin | era |") and len(lines) == 2 + 9
    assert lines[2].startswith(f"| {ALL} | {ALL} | 420 (")


def test_cross_validate__groups_that_lie_are_not_believed(small):
    """Labels are noise, but every photo stands twice: leaking folds would look perfect."""
    rng = np.random.default_rng(0)
    noise = replace(
        small,
        features=rng.normal(size=(420, 400)).astype(np.float32)[np.arange(420) // 2],
        labels=rng.integers(0, 2, 210).astype(np.int8)[np.arange(420) // 2],
        evidence=np.full_like(small.evidence, np.nan),
        groups=tuple(str(i // 2) for i in range(420)),
    )
    honest = cross_validate(noise, toy_settings(), folds=3, shuffles=1, specs=FAST, policies=["plan"])
    leaking = cross_validate(
        replace(noise, groups=noise.ids), toy_settings(), folds=3, shuffles=1, specs=FAST, policies=["plan"]
    )
    assert abs(honest.cell("plan").metrics["mcc"].mean) < 0.2 < leaking.cell("plan").metrics["mcc"].mean


def test_cross_validate__rows_of_weight_zero_are_answered_but_never_learned_from(small):
    """Evaluation-only rows with turned labels: were they learned from, the others would suffer."""
    only = np.arange(420) % 4 == 0
    labels = np.where(only, 1 - small.labels, small.labels).astype(np.int8)
    origins = tuple("evaluation" if o else "learning" for o in only)
    table = replace(small, labels=labels, origins=origins, weights=np.where(only, 0, 1).astype(np.float32))
    report = cross_validate(table, toy_settings(), folds=3, shuffles=1, specs=FAST)
    assert report.cell("certified", "learning").metrics["mcc"].mean > 0.5
    assert report.cell("certified", "evaluation").metrics["mcc"].mean < -0.5


def test_cross_validate__scored_rows_only(small):
    scored = np.array(small.eras) == "native"
    report = cross_validate(small, toy_settings(), folds=2, shuffles=1, specs=FAST, scored=scored)
    assert report.cell("certified").n == scored.sum()


def test_cross_validate__train_only_groups_are_learned_from_and_never_answered(small):
    """Half of the rows carry the label in their evidence, as a detector does on photos that trained it."""
    seen = np.arange(420) % 2 == 0
    origins = tuple("seen" if s else "new" for s in seen)
    table = replace(small, origins=origins)
    report = cross_validate(
        table,
        toy_settings(),
        folds=3,
        shuffles=1,
        specs=FAST,
        train_only=[table.groups[i] for i in np.flatnonzero(seen)],
    )
    assert {c.origin for c in report.cells} == {ALL, "new"} and report.cell("certified").n == (~seen).sum()
    assert report.cell("certified").metrics["mcc"].mean > 0.5


def test_cross_validate__too_few_groups_is_an_error(small):
    with pytest.raises(DataError, match="without a result"):
        cross_validate(replace(small, groups=("one",) * 420), toy_settings(), folds=2, shuffles=1, specs=FAST)
