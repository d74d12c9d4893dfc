import json

import numpy as np
import pytest
from betacal import BetaCalibration
from hypothesis import given, settings
from hypothesis import strategies as st
from venn_abers import VennAbers as PackageVennAbers

from streetvision_core.calibration.probability import METHODS, best_calibrator, calibrator_from_dict, fit_calibrator
from streetvision_core.errors import CalibrationError
from tests.unit.calibration.simulated import scored, sigmoid

Z, Y, P = scored(1500, seed=1, temperature=2.0)


@pytest.mark.parametrize("method", METHODS)
def test_fit_calibrator__finds_the_truth(method):
    calibrator = fit_calibrator(Z, Y, method)
    grid = np.linspace(-5, 5, 21)
    assert np.abs(calibrator.predict(grid) - sigmoid(grid / 2)).max() < 0.2
    assert abs(calibrator.predict(Z).mean() - Y.mean()) < 0.03


@pytest.mark.parametrize("method", METHODS)
def test_fit_calibrator__is_monotone_and_inside(method):
    p = fit_calibrator(Z, Y, method).predict(np.linspace(-60, 60, 500))
    assert (np.diff(p) >= -1e-12).all() and p[0] > 0 and p[-1] < 1


@pytest.mark.parametrize("method", METHODS)
def test_calibrator__json_round_trip(method):
    calibrator = fit_calibrator(Z, Y, method)
    restored = calibrator_from_dict(json.loads(json.dumps(calibrator.to_dict())))
    assert restored.method == method
    assert restored.predict(Z) == pytest.approx(calibrator.predict(Z), abs=1e-5)


def test_fit_calibrator__venn_abers_equals_the_package():
    z = np.round(Z, 3)
    package = PackageVennAbers().fit(np.stack([-z, z], axis=1), Y.astype(float))
    new = np.random.default_rng(5).normal(scale=4, size=300).round(3)
    reference, pair = package.predict_proba(np.stack([-new, new], axis=1))
    ours = fit_calibrator(z, Y, "venn-abers")
    assert ours.predict(new) == pytest.approx(reference[:, 1], abs=1 / len(z))
    low, high = ours.interval(new)
    assert low == pytest.approx(pair[:, 0]) and high == pytest.approx(pair[:, 1])


def test_fit_calibrator__beta_equals_the_package():
    reference = BetaCalibration(parameters="abm").fit(sigmoid(Z), Y)
    assert fit_calibrator(Z, Y, "beta").predict(Z) == pytest.approx(reference.predict(sigmoid(Z)), abs=2e-3)


def test_fit_calibrator__bias_needs_more_than_temperature():
    z, y, _ = scored(2000, seed=2, bias=1.5)
    grid = np.array([0.0])
    assert fit_calibrator(z, y, "platt").predict(grid) == pytest.approx(sigmoid(1.5), abs=0.05)
    assert fit_calibrator(z, y, "temperature").predict(grid) == pytest.approx(0.5)


@pytest.mark.parametrize("method", METHODS)
def test_fit_calibrator__separable_rows_give_no_certainty(method):
    z = np.r_[np.linspace(-3, -1, 30), np.linspace(1, 3, 30)]
    p = fit_calibrator(z, (z > 0).astype(int), method).predict(np.array([-1e6, 1e6]))
    assert p[0] >= 1 / 62 - 1e-9 and p[1] <= 1 - 1 / 62 + 1e-9


@pytest.mark.parametrize(
    ("scores", "y", "match"),
    [
        ([1.0, 2.0, 3.0], [1, 1, 1], "both occur"),
        ([1.0, 1.0, 1.0, 1.0], [0, 1, 0, 1], "score 1"),
        ([1.0, np.nan], [0, 1], "finite"),
        ([1.0, 2.0, 3.0], [0, 1], "labels"),
        ([], [], "0 rows"),
        ([1.0, 2.0], [0, 1], "rarer class"),
        ([2.0, 2.1, 1.0, 1.1], [0, 0, 1, 1], "worse than chance"),
    ],
)
def test_fit_calibrator__refuses(scores, y, match):
    with pytest.raises(CalibrationError, match=match):
        fit_calibrator(scores, y, "temperature")


def test_fit_calibrator__unknown_method():
    with pytest.raises(CalibrationError, match="temperature, platt, beta, venn-abers"):
        fit_calibrator(Z, Y, "isotonic")
    with pytest.raises(CalibrationError, match="isotonic"):
        calibrator_from_dict({"method": "isotonic"})


def test_best_calibrator__takes_what_generalises():
    choice = best_calibrator(Z, Y)
    assert choice.cross_fitted and set(choice.log_losses) == set(METHODS)
    assert choice.log_losses[choice.calibrator.method] <= min(choice.log_losses.values()) + 1e-3
    kinked = np.where(Z > 0, Z * 4, Z / 4)
    assert best_calibrator(kinked, Y).calibrator.method in ("beta", "venn-abers")


def test_best_calibrator__simplest_wins_a_tie():
    assert best_calibrator(Z, Y).calibrator.method == "temperature"


def test_best_calibrator__out_of_fold_is_honest():
    """Labels are noise within groups: an in-sample step function would learn them, an out-of-fold one cannot."""
    rng = np.random.default_rng(3)
    groups = np.repeat(np.arange(60), 10)
    y = rng.integers(0, 2, 60)[groups]
    z = rng.normal(size=60)[groups] + 1e-3 * rng.normal(size=600)
    choice = best_calibrator(z, y, [str(g) for g in groups], methods=["venn-abers"])

    def loss(p):
        return -np.log(np.where(y == 1, p, 1 - p)).mean()

    assert loss(choice.calibrator.predict(z)) + 0.03 < loss(choice.out_of_fold)


def test_best_calibrator__tiny_sets_behave():
    z, y, _ = scored(14, seed=4)
    choice = best_calibrator(z, y)
    assert choice.calibrator.method in ("temperature", "platt")
    one_group = best_calibrator(z, y, ["same"] * 14)
    assert one_group.calibrator.method == "temperature" and not one_group.cross_fitted
    assert "too few groups" in one_group.reason
    json.dumps(one_group.to_dict())


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(-30, 30), st.integers(0, 1)), min_size=2, max_size=40))
def test_best_calibrator__any_rows_give_probabilities_or_a_named_error(rows):
    z, y = [r[0] for r in rows], [r[1] for r in rows]
    try:
        choice = best_calibrator(z, y)
    except CalibrationError:
        return
    p = choice.calibrator.predict(np.array([-1e3, *z, 1e3]))
    assert ((p > 0) & (p < 1)).all() and ((choice.out_of_fold > 0) & (choice.out_of_fold < 1)).all()
