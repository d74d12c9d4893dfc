from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from streetvision_core.errors import RegistryError
from streetvision_core.registry.age import NOTICE_FILE, age_notice, notice_days, record_notice
from streetvision_core.registry.decision import Override
from streetvision_core.registry.versions import Registry

MADE = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    registry = Registry(tmp_path, clock=lambda: MADE)
    registry.install_first(registry.create({"head.json": b"{}"}, {}), by="loop")
    return registry


@pytest.mark.parametrize(
    ("days", "reached", "expired"),
    [
        (0, None, False),
        (69.9, None, False),
        (70, 70, False),
        (74.9, 70, False),
        (75, 75, False),
        (80, 80, False),
        (85, 85, False),
        (89.9, 85, False),
        (90, 90, True),
        (400, 90, True),
    ],
)
def test_age_notice__speaks_on_the_days_of_one_list(
    registry: Registry, days: float, reached: int | None, expired: bool
) -> None:
    notice = age_notice(registry, MADE + timedelta(days=days))
    assert (notice.reached_days if notice else None) == reached
    if notice is not None:
        assert notice.expired == expired
        assert f"is {days:.0f} days old" in notice.text
        assert ("should have been replaced" in notice.text) == expired


def test_age_notice__the_limit_is_a_setting(registry: Registry) -> None:
    assert notice_days(90) == (70, 75, 80, 85, 90)
    assert notice_days(30) == (10, 15, 20, 25, 30)
    assert notice_days(12) == (2, 7, 12)
    assert notice_days(1) == (1,)
    notice = age_notice(registry, MADE + timedelta(days=30), max_age_days=30)
    assert notice is not None
    assert notice.expired


def test_age_notice__is_about_the_version_that_serves(registry: Registry) -> None:
    now = MADE + timedelta(days=80)
    later = Registry(registry.root, clock=lambda: now)
    young = later.create({"head.json": b"[]"}, {})
    later.promote(young, Override("Ada", "a younger one serves"))
    assert age_notice(later, now) is None
    later.pin("v0001", "Ada", "the old one again")
    notice = age_notice(later, now)
    assert notice is not None
    assert notice.version.startswith("v0001")


def test_age_notice__nothing_serves_or_nothing_can_be_read(registry: Registry, tmp_path: Path) -> None:
    assert age_notice(Registry(tmp_path / "empty"), MADE) is None
    registry.promotions.path.write_text("{}\n")
    assert age_notice(registry, MADE + timedelta(days=99)) is None


def test_age_notice__made_in_the_future_is_young(registry: Registry) -> None:
    assert age_notice(registry, MADE - timedelta(days=300)) is None


def test_age_notice__needs_a_zone(registry: Registry) -> None:
    with pytest.raises(RegistryError, match="without zone"):
        age_notice(registry, datetime(2026, 1, 1))


def test_record_notice__each_day_of_the_list_is_new_once(registry: Registry) -> None:
    sent = []
    for day in range(120):
        notice = age_notice(registry, MADE + timedelta(days=day))
        if notice is not None and record_notice(registry, notice):
            sent.append(day)
    assert sent == [70, 75, 80, 85, 90]


@pytest.mark.parametrize("damage", ["", "[]", '{"v0001": "x"}', "[" * 100_000])
def test_record_notice__a_damaged_note_is_written_again(registry: Registry, damage: str) -> None:
    (registry.root / NOTICE_FILE).write_text(damage)
    notice = age_notice(registry, MADE + timedelta(days=77))
    assert notice is not None
    assert record_notice(registry, notice)
    assert not record_notice(registry, notice)
