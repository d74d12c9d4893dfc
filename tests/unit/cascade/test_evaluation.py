import json
import math

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import matthews_corrcoef

from streetvision_core.cascade.decisions import Decisions
from streetvision_core.cascade.engine import Cascade, predict_table
from streetvision_core.cascade.evaluation import evaluate, evaluate_table, evaluate_verdicts
from streetvision_core.cascade.plots import (
    plot_exits,
    plot_latency,
    plot_reliability,
    plot_report,
    plot_risk,
    plot_slices,
)
from streetvision_core.cascade.policy import get_policy
from streetvision_core.errors import DataError
from streetvision_core.types import STAGES, Split
from tests.unit.cascade.toy_street import OCR_WIDTH, toy_models

SECONDS = {"classifier": 0.02, "detectors": 0.08, "ocr": 0.5}


@pytest.fixture(scope="module")
def test_rows(toy):
    table = toy[0]
    return table.select(table.in_split(Split.TEST))


@pytest.fixture(scope="module")
def report(toy, test_rows):
    return evaluate_table(test_rows, toy[2], toy[3], "certified", stage_seconds=SECONDS, resamples=100)


def test_evaluate_table__numbers_add_up(toy, test_rows, report):
    decisions = predict_table(test_rows, toy[2], toy[3], "certified")
    wrong = (decisions.p > 0.5) != test_rows.labels
    assert sum(s.exits for s in report.stages) == report.overall.n == len(test_rows)
    assert sum(s.errors for s in report.stages) == wrong.sum()
    first = report.stages[0]
    reference = binomtest(first.errors, first.exits).proportion_ci(0.95, method="exact")
    assert (first.error.low, first.error.high) == pytest.approx((reference.low, reference.high))
    mcc = report.overall.metrics["mcc"]
    assert mcc.point == pytest.approx(matthews_corrcoef(test_rows.labels, decisions.p > 0.5))
    assert mcc.low <= mcc.point <= mcc.high


def test_evaluate_table__cost_is_against_every_stage(toy, test_rows, report):
    decisions = predict_table(test_rows, toy[2], toy[3], "certified")
    expected = (20 + 80 * decisions.ran[:, 1].mean()) / (20 + 80)
    assert report.cost.relative == pytest.approx(expected)
    assert sum(s.relative_cost for s in report.stages) == pytest.approx(expected)
    assert 0.5 < report.cost.every_stage_mcc <= 1


def test_evaluate_table__slices(report, test_rows):
    assert {s.name for s in report.by_origin} == {"toyland", "elsewhere"}
    assert {s.name for s in report.by_era} == {"native", "crop-224"}
    assert sum(s.n for s in report.by_origin) == sum(s.n for s in report.by_era) == len(test_rows)
    names = "accuracy f1 mcc recall false_alarm_rate auc brier ece augrc sn72 sn34"
    assert set(report.overall.metrics) == set(names.split())
    assert all(v.low <= v.point + 0.05 and v.point - 0.05 <= v.high for v in report.overall.metrics.values())


def test_report__to_dict_is_strict_json(report):
    data = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert data["absent"]["vlm"] and data["overall"]["metrics"]["mcc"]["point"] > 0.5


def test_evaluate_verdicts__equals_the_table(toy, test_rows, report):
    table, frames, head, calibration, _ = toy
    rows = np.flatnonzero(table.in_split(Split.TEST))
    engine = Cascade(toy_models(), head, calibration, get_policy("certified"), "v", OCR_WIDTH)
    verdicts = engine.predict([frames[i] for i in rows])
    thresholds = [calibration.for_size(frames[i].width, frames[i].height).threshold for i in rows]
    of_images = evaluate_verdicts(
        verdicts, test_rows.labels, test_rows.groups, test_rows.origins, test_rows.eras,
        threshold=thresholds, absent=engine.stages.absent, resamples=100,
    )  # fmt: skip
    for name in ("mcc", "accuracy", "auc", "brier"):
        assert of_images.overall.metrics[name].point == pytest.approx(report.overall.metrics[name].point, abs=1e-3), (
            name
        )
    assert [(s.stage, s.exits, s.errors) for s in of_images.stages] == [
        (s.stage, s.exits, s.errors) for s in report.stages
    ]
    assert all(s.median_ms > 0 and s.p99_ms >= s.median_ms for s in of_images.stages)
    assert 0 < of_images.cost.relative <= 1


def decisions_of(p):
    n = len(p)
    ran = np.zeros((n, len(STAGES)), bool)
    ran[:, 0] = True
    return Decisions(np.array(p), np.array(p), np.zeros(n, np.int64), np.zeros(n, bool), ran, "plan")


def test_evaluate__one_class_gives_nan_not_nonsense():
    report = evaluate(
        decisions_of([0.1, 0.2, 0.9]), [0, 0, 0], ["a", "b", "c"], ["x"] * 3, ["native"] * 3, resamples=20
    )
    assert math.isnan(report.overall.metrics["mcc"].point) and math.isnan(report.overall.metrics["auc"].point)
    assert report.overall.metrics["false_alarm_rate"].point == pytest.approx(1 / 3)
    assert math.isnan(report.cost.relative) and math.isnan(report.stages[0].median_ms)
    json.dumps(report.to_dict(), allow_nan=False)


def test_evaluate__unknown_labels_are_left_out():
    report = evaluate(
        decisions_of([0.1, 0.9, 0.9]), [0, 1, -1], ["a", "b", "c"], ["x"] * 3, ["native"] * 3, resamples=20
    )
    assert report.overall.n == 2 and report.overall.metrics["accuracy"].point == 1


@pytest.mark.parametrize("labels", [[-1, -1], [1]])
def test_evaluate__refuses(labels):
    with pytest.raises(DataError, match="known"):
        evaluate(decisions_of([0.1, 0.9]), labels, ["a", "b"], ["x"] * 2, ["native"] * 2)


def test_evaluate__groups_widen_the_interval():
    rng = np.random.default_rng(0)
    p = np.where(rng.random(200) < 0.8, 0.9, 0.1)
    y = np.ones(200)
    y[100:] = 0
    groups = [str(i // 25) for i in range(200)]
    p = np.repeat(p[::25], 25)
    widths = []
    for names in (groups, [str(i) for i in range(200)]):
        found = evaluate(decisions_of(p), y, names, ["x"] * 200, ["native"] * 200, resamples=200).overall.metrics
        widths.append(found["accuracy"].high - found["accuracy"].low)
    assert widths[0] > 2 * widths[1]


def test_plots__axes_are_labelled(report, tmp_path):
    import matplotlib as mpl

    mpl.use("Agg")
    for draw in (plot_reliability, plot_risk, plot_exits, plot_latency, plot_slices):
        axes = draw(report)
        assert axes.get_xlabel() and axes.get_ylabel() and axes.get_title()
    plot_report(report).savefig(tmp_path / "report.png")
    assert (tmp_path / "report.png").stat().st_size > 10_000
    mpl.pyplot.close("all")


def test_plot_latency__says_when_times_were_not_measured(toy, test_rows):
    unmeasured = evaluate_table(test_rows, toy[2], toy[3], "plan", resamples=20)
    assert plot_latency(unmeasured).texts[0].get_text() == "times were not measured"
