from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from streetvision_core.errors import RegistryError
from streetvision_core.registry.age import age_status
from streetvision_core.registry.versions import ModelVersion

MADE = datetime(2026, 1, 1, tzinfo=UTC)
VERSION = ModelVersion("v0001-00000000", Path(), MADE, "", {})


@pytest.mark.parametrize(
    ("days", "status", "left"),
    [
        (0, "fresh", 90),
        (71.9, "fresh", 18.1),
        (72, "ageing", 18),
        (89.9, "ageing", 0.1),
        (90, "expired", 0),
        (100, "expired", -10),
    ],
)
def test_age_status__clock(days: float, status: str, left: float) -> None:
    age = age_status(VERSION, MADE + timedelta(days=days))
    assert age.status == status
    assert age.days_left == pytest.approx(left)
    assert "not validator code" in age.to_dict()["note"]


def test_age_status__made_in_the_future_is_fresh() -> None:
    assert age_status(VERSION, MADE - timedelta(days=3)).age_days == 0


def test_age_status__limit_is_a_setting() -> None:
    assert age_status(VERSION, MADE + timedelta(days=10), max_age_days=10).status == "expired"


def test_age_status__needs_a_zone() -> None:
    with pytest.raises(RegistryError):
        age_status(VERSION, datetime(2026, 1, 1))
