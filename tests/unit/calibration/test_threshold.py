import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streetvision_core.calibration.threshold import best_threshold, remap
from streetvision_core.errors import CalibrationError
from streetvision_core.scoring.rules import get_rule
from tests.unit.calibration.simulated import scored

probability = st.floats(0, 1)


@given(st.lists(probability, min_size=1, max_size=30), st.floats(0.01, 0.99))
def test_remap__never_half_never_edge_and_monotone(values, t):
    out = remap(values, t)
    assert ((out > 0) & (out < 1)).all() and (np.abs(out - 0.5) >= 1e-4 - 1e-12).all()
    assert ((out > 0.5) == (np.array(values) > t)).all()
    order = np.argsort(values, kind="stable")
    assert (np.diff(out[order]) >= 0).all()
    assert all(round(float(v), 4) != 0.5 for v in out)


def test_remap__half_is_almost_the_identity():
    p = np.linspace(0.01, 0.99, 50)
    assert remap(p, 0.5) == pytest.approx(p, abs=1e-4)


@pytest.mark.parametrize(("p", "t"), [([math.nan], 0.5), ([0.2, 1.2], 0.5), ([-1.0], 0.5), ([0.5], 0.0), ([0.5], 1.0)])
def test_remap__refuses(p, t):
    with pytest.raises(CalibrationError, match="no NaN"):
        remap(p, t)


@pytest.mark.parametrize("name", ["sn72", "sn34"])
def test_best_threshold__finds_a_shifted_optimum(name):
    """Scores say 0.2 where the truth is 0.5, so the rule pays most at about 0.2."""
    z, y, _ = scored(3000, seed=1)
    p = 1 / (1 + np.exp(-(z - np.log(4))))
    t = best_threshold(p, y, get_rule(name))
    assert 0.12 < t < 0.35
    rule = get_rule(name)
    assert rule.score(remap(p, t), y) > rule.score(remap(p, 0.5), y)


def test_best_threshold__few_rows_leave_it_at_half():
    _, y, p = scored(24, seed=2)
    assert best_threshold(p, y, get_rule("sn72")) == pytest.approx(0.5, abs=0.13)
    assert best_threshold(p, np.ones(24), get_rule("sn72")) == 0.5


def test_best_threshold__balanced_stream_moves_it_to_the_prior():
    """With one frame in ten road work, a calibrated 0.1 speaks for neither class."""
    _, y, p = scored(4000, seed=4, bias=-4.0)
    rule = get_rule("sn72")
    natural, balanced = best_threshold(p, y, rule), best_threshold(p, y, rule, balanced=True)
    assert balanced < y.mean() + 0.05 < natural


def test_best_threshold__resamples_groups_and_repeats():
    _, y, p = scored(200, seed=3)
    groups = [str(i // 20) for i in range(200)]
    rule = get_rule("sn72")
    assert best_threshold(p, y, rule, groups, seed=1) == best_threshold(p, y, rule, groups, seed=1)
