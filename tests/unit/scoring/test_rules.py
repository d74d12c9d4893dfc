from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from streetvision_core.errors import SettingsError
from streetvision_core.scoring.confusion import Confusion
from streetvision_core.scoring.metrics import binary_metrics
from streetvision_core.scoring.rules import RULES, ScoringRule, get_rule


@pytest.mark.parametrize("name", ["sn72", "sn34"])
def test_get_rule__returns_the_protocol(name: str) -> None:
    rule = get_rule(name)
    assert isinstance(rule, ScoringRule)
    assert (rule.name, rule.threshold) == (name, 0.5)


def test_get_rule__unknown() -> None:
    with pytest.raises(SettingsError, match="sn72, sn34"):
        get_rule("sn1")


def test_rules__registry_is_read_only() -> None:
    with pytest.raises(TypeError):
        RULES["sn1"] = get_rule("sn72")  # type: ignore[index]


@pytest.mark.parametrize("name", ["sn72", "sn34"])
def test_from_confusion__equals_score(name: str) -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 90)
    p = np.clip(y * 0.4 + rng.uniform(0, 0.6, 90), 0.001, 0.999)
    rule = get_rule(name)
    table = Confusion.count(p > 0.5, y > 0)
    assert float(rule.from_confusion(table, binary_metrics(p, y).brier)) == pytest.approx(rule.score(p, y), abs=1e-6)


def test_scoring__imports_nothing_heavy() -> None:
    code = (
        "import sys, streetvision_core.scoring.rules, streetvision_core.scoring.metrics;"
        "bad = {'torch', 'sklearn', 'scipy', 'cv2', 'PIL', 'pandas'} & set(sys.modules);"
        "sys.exit(f'loaded {bad}' if bad else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
