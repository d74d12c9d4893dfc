from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from streetvision_core.errors import RegistryError
from streetvision_core.registry.decision import GateDecision, Override, protocol_sha256
from streetvision_core.registry.versions import ModelVersion, Registry

START = datetime(2026, 11, 1, tzinfo=UTC)
RULES = {"name": "a protocol", "alpha": 0.05}
YES = GateDecision(True, ("Challenger promoted.",), {"p": 0.01}, RULES, protocol_sha256(RULES))
NO = GateDecision(False, ("Champion kept: too few votes.",), {"p": 0.4}, RULES, protocol_sha256(RULES))
OVERRIDE = Override("Ada", "the camera was changed")


class Clock:
    """Moves one hour on at each look."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        self.now += timedelta(hours=1)
        return self.now


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path, clock=Clock())


@pytest.fixture
def versions(registry: Registry) -> list[ModelVersion]:
    return [registry.create({"head.json": json.dumps({"n": n}).encode()}, {}) for n in range(4)]


def test_promote__gate_and_history(registry: Registry, versions: list[ModelVersion]) -> None:
    a, b, c, _ = versions
    registry.install_first(a, by="loop")
    registry.challenge(b)
    assert registry.alias("challenger").name == b.name
    registry.promote(b, YES)
    assert registry.alias("champion").name == b.name
    assert registry.challenger() is None
    registry.challenge(c)
    registry.refuse(c, NO)
    assert registry.challenger() is None
    assert registry.champion() == b
    registry.promote(c, OVERRIDE)
    events = registry.history()
    assert [e.action for e in events] == ["first", "challenge", "promote", "challenge", "refuse", "override"]
    assert [e.seq for e in events] == [1, 2, 3, 4, 5, 6]
    assert events[2].decision is not None
    assert GateDecision.from_dict(events[2].decision) == YES
    assert (events[5].by, events[5].reason, events[5].previous) == ("Ada", "the camera was changed", b.name)
    assert events[4].reason == "Champion kept: too few votes."
    json.dumps([e.to_dict() for e in events])


@pytest.mark.parametrize(
    ("decision", "message"),
    [
        (NO, "Champion kept: too few votes"),
        (GateDecision(True, (), {}, {**RULES, "alpha": 0.5}, protocol_sha256(RULES)), "protocol"),
        (GateDecision(True, (), {}, RULES, protocol_sha256(RULES), challenger="v0009-00000000"), "v0009"),
        (GateDecision(True, (), {}, RULES, protocol_sha256(RULES), champion="v0009-00000000"), "v0009"),
    ],
)
def test_promote__only_a_fitting_decision(
    registry: Registry, versions: list[ModelVersion], decision: GateDecision, message: str
) -> None:
    registry.install_first(versions[0], by="loop")
    with pytest.raises(RegistryError, match=message):
        registry.promote(versions[1], decision)
    assert registry.champion() == versions[0]


def test_promote__the_champion_again(registry: Registry, versions: list[ModelVersion]) -> None:
    registry.install_first(versions[0], by="loop")
    with pytest.raises(RegistryError, match="serves already"):
        registry.promote(versions[0], YES)
    with pytest.raises(RegistryError, match="serving already"):
        registry.install_first(versions[1], by="loop")


@pytest.mark.parametrize(("by", "reason"), [("", "a good long reason"), ("Ada", ""), ("Ada", "because I")])
def test_override__needs_name_and_reason(by: str, reason: str) -> None:
    with pytest.raises(RegistryError, match="at least three words"):
        Override(by, reason)


def test_rollback__steps_back(registry: Registry, versions: list[ModelVersion]) -> None:
    a, b, c, d = versions
    registry.install_first(a, by="loop")
    with pytest.raises(RegistryError, match="only one version has ever served"):
        registry.rollback("Ada", "it sees ghosts everywhere")
    registry.promote(b, YES)
    registry.promote(c, YES)
    registry.challenge(d)
    for expected in (b, a):
        assert registry.rollback("Ada", "it sees ghosts everywhere").version == expected.name
        assert registry.champion() == expected
    assert registry.alias("challenger").name == d.name, "a rollback leaves the challenger under test"
    with pytest.raises(RegistryError):
        registry.rollback("Ada", "further back there is nothing")
    assert registry.rollback("Ada", "to one that served", to="v0003").version == c.name
    with pytest.raises(RegistryError):
        registry.rollback("Ada", "to one that never served", to=d.name)


def test_served_at__answers_which_and_why(registry: Registry, versions: list[ModelVersion]) -> None:
    a, b, *_ = versions
    first = registry.install_first(a, by="loop")
    second = registry.promote(b, YES)
    back = registry.rollback("Ada", "it sees ghosts everywhere")
    hour = timedelta(hours=1)
    assert registry.served_at(first.time - hour) is None
    table = [
        (first.time, a, first, second.time),
        (second.time, b, second, back.time),
        (back.time + hour, a, back, None),
    ]
    for time, version, event, until in table:
        served = registry.served_at(time)
        assert served is not None
        assert (served.version, served.event, served.until) == (version.name, event, until)
    with pytest.raises(RegistryError, match="without zone"):
        registry.served_at(datetime(2026, 11, 1))


def test_append__times_increase_when_the_clock_is_set_back(tmp_path: Path) -> None:
    times = iter([START, START, START, START - timedelta(days=9)])
    registry = Registry(tmp_path, clock=lambda: next(times))
    a, b = (registry.create({"head.json": content}, {}) for content in (b"{}", b"[]"))
    first, second = registry.install_first(a, by="loop"), registry.promote(b, OVERRIDE)
    assert second.time > first.time


def test_promote__marks_a_changed_protocol(registry: Registry, versions: list[ModelVersion]) -> None:
    other = {**RULES, "alpha": 0.2}
    registry.install_first(versions[0], by="loop")
    assert not registry.promote(versions[1], YES).protocol_changed
    changed = GateDecision(True, ("Challenger promoted.",), {}, other, protocol_sha256(other))
    assert registry.promote(versions[2], changed).protocol_changed


def test_history__torn_last_line_is_mended(registry: Registry, versions: list[ModelVersion]) -> None:
    registry.install_first(versions[0], by="loop")
    registry.promote(versions[1], YES)
    path = registry.promotions.path
    whole = path.read_bytes()
    for cut in range(len(whole) - 1, whole.index(b"\n"), -97):
        path.write_bytes(whole[:cut])
        assert registry.champion() == versions[0], "a line that was never whole does not count"
    registry.promote(versions[2], YES)
    assert [e.version for e in registry.history()] == [versions[0].name, versions[2].name]


@pytest.mark.parametrize("harm", ["edit", "remove", "swap", "blank", "not json"])
def test_history__edited_line_is_found(registry: Registry, versions: list[ModelVersion], harm: str) -> None:
    registry.install_first(versions[0], by="loop")
    registry.promote(versions[1], YES)
    registry.promote(versions[2], YES)
    path = registry.promotions.path
    lines = path.read_text().splitlines()
    lines = {
        "edit": [lines[0], lines[1].replace(versions[1].name, versions[3].name), lines[2]],
        "remove": [lines[0], lines[2]],
        "swap": [lines[1], lines[0], lines[2]],
        "blank": [lines[0], "", *lines[1:]],
        "not json": [lines[0], "{", *lines[1:]],
    }[harm]
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(RegistryError, match="edited, moved, or follows a removed line"):
        registry.champion()
    with pytest.raises(RegistryError):
        registry.promote(versions[3], YES)
