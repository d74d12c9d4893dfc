import numpy as np
import pytest
from sklearn.metrics import f1_score, matthews_corrcoef

from streetvision_core.errors import SettingsError
from streetvision_core.scoring.confusion import Confusion
from streetvision_core.scoring.objectives import RULES, objective
from streetvision_core.scoring.rules import get_rule
from streetvision_core.settings import ScoringSettings


def decided(seed=2):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, 120)
    return y, (np.clip(y * 0.3 + rng.uniform(0, 0.7, 120), 0, 1) > 0.5).astype(int)


@pytest.mark.parametrize(
    ("rule", "reference"),
    [
        ("mcc", matthews_corrcoef),
        ("f1", f1_score),
        ("sn72", lambda y, called: get_rule("sn72").score(called.astype(float), y)),
        (
            "cost",
            lambda y, called: -(((called == 1) & (y == 0)).sum() + 3.0 * ((called == 0) & (y == 1)).sum()) / len(y),
        ),
    ],
)
def test_objective__is_the_score_of_the_decisions(rule, reference):
    y, called = decided()
    table = Confusion.count(called > 0, y > 0)
    assert float(objective(rule, miss_cost=3.0)(table)) == pytest.approx(reference(y, called))


@pytest.mark.parametrize("rule", RULES)
def test_objective__shares_count_like_rows(rule):
    y, called = decided()
    table = Confusion.count(called > 0, y > 0)
    rates = Confusion.from_rates(table.recall(), 1 - table.false_alarm_rate(), y.mean())
    assert float(objective(rule)(rates)) == pytest.approx(float(objective(rule)(table)))


def test_objective__every_rule_that_a_setting_may_name():
    assert {ScoringSettings(rule=rule).rule for rule in RULES} == set(RULES)
    with pytest.raises(SettingsError, match=r"scoring\.rule"):
        objective("luck")
