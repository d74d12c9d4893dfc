from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from streetvision_core.errors import ManifestError, RegistryError
from streetvision_core.registry._records import append_record, head_path
from streetvision_core.registry.decision import GateDecision, Override, protocol_sha256
from streetvision_core.registry.events import periods_of
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
    assert registry.hold_event() is None
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


def test_history__torn_last_line_is_dropped(registry: Registry, versions: list[ModelVersion]) -> None:
    registry.install_first(versions[0], by="loop")
    path = registry.promotions.path
    head = head_path(path).read_bytes()
    registry.promote(versions[1], YES)
    whole = path.read_bytes()
    head_path(path).write_bytes(head)  # a kill in the middle of the line: the head was not written yet
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


@pytest.mark.parametrize("lines", [0, 1, 2])
def test_history__a_cut_tail_is_found(registry: Registry, versions: list[ModelVersion], lines: int) -> None:
    registry.install_first(versions[0], by="loop")
    registry.promote(versions[1], YES)
    registry.promote(versions[2], YES)
    path = registry.promotions.path
    kept = path.read_bytes().splitlines(keepends=True)[:lines]
    path.write_bytes(b"".join(kept))
    with pytest.raises(RegistryError, match=f"{lines} lines in promotions.jsonl, where 3 were written"):
        registry.champion()
    with pytest.raises(RegistryError, match="its end was cut off"):
        registry.promote(versions[3], OVERRIDE)
    assert [e.version for e in registry.promotions.salvage()] == [v.name for v in versions[:lines]]


def test_history__a_head_that_lags_behind_is_what_a_kill_leaves(
    registry: Registry, versions: list[ModelVersion]
) -> None:
    registry.install_first(versions[0], by="loop")
    head = head_path(registry.promotions.path)
    early = head.read_bytes()
    registry.promote(versions[1], YES)
    for left in (early, b"{", b""):
        head.write_bytes(left)
        assert registry.champion() == versions[1]
    registry.promote(versions[2], YES)
    assert json.loads(head.read_bytes())["count"] == 3, "the next line brings the head up to date"


def test_history__chains_written_before_heads_and_digests_are_read(
    registry: Registry, versions: list[ModelVersion]
) -> None:
    old = {"decision": None, "protocol_changed": False, "by": "loop", "reason": "as it was"}
    for seq, version in enumerate(versions[:2], start=1):
        event = {"seq": seq, "time": (START + timedelta(hours=seq)).isoformat(), "version": version.name, **old}
        kind = {"action": "first" if seq == 1 else "promote", "previous": None if seq == 1 else versions[0].name}
        append_record(registry.promotions.path, {**event, **kind})
    head_path(registry.promotions.path).unlink()
    assert registry.champion() == versions[1]
    assert [e.sha256 for e in registry.history()] == ["", ""]
    registry.promote(versions[2], YES)
    assert registry.history()[-1].sha256 == versions[2].digest
    registry.promotions.path.write_bytes(registry.promotions.path.read_bytes().splitlines(keepends=True)[0])
    with pytest.raises(RegistryError, match="1 lines"):
        registry.champion()


def test_get__a_version_exchanged_as_a_whole_is_found(registry: Registry, versions: list[ModelVersion]) -> None:
    a, b, *_ = versions
    registry.install_first(a, by="loop")
    shutil.rmtree(a.folder)
    shutil.copytree(b.folder, a.folder)
    with pytest.raises(ManifestError, match="as the promotions history says"):
        registry.champion()


def test_hold__a_version_that_passes_waits_and_is_recorded(registry: Registry, versions: list[ModelVersion]) -> None:
    a, b, c, _ = versions
    registry.install_first(a, by="loop")
    registry.hold("Ada", "the camera is being changed")
    with pytest.raises(RegistryError, match="on hold already"):
        registry.hold("Bob", "me too, I say")
    event = registry.settle(b, YES)
    assert (event.action, event.version) == ("pass", b.name)
    assert "Passed, held (hold by Ada" in event.reason
    assert registry.champion() == a
    with pytest.raises(RegistryError, match="promotions are on hold"):
        registry.promote(b, YES)
    registry.unhold("Ada")
    assert registry.settle(c, YES).action == "promote"
    with pytest.raises(RegistryError, match="no hold to end"):
        registry.unhold("Ada")


def test_rollback__is_not_undone_by_the_next_night(registry: Registry, versions: list[ModelVersion]) -> None:
    a, b, c, _ = versions
    registry.install_first(a, by="loop")
    registry.settle(b, YES)
    registry.rollback("Ada", "it sees ghosts everywhere")
    assert registry.settle(b, YES).action == "pass", "the same version again"
    assert registry.settle(c, YES).action == "pass", "another one"
    assert registry.settle(c, NO).action == "refuse"
    assert registry.champion() == a
    registry.unhold("Ada")
    assert registry.settle(c, YES).action == "promote"


def test_settle__ask_waits_for_a_person(registry: Registry, versions: list[ModelVersion]) -> None:
    a, b, c, d = versions
    registry.install_first(a, by="loop")
    with pytest.raises(RegistryError, match="while nothing waits"):
        registry.approve(None, "Ada")
    assert registry.settle(b, YES, "ask").action == "pass"
    assert registry.settle(c, YES, "ask").action == "pass"
    assert [e.version for e in registry.waiting()] == [b.name, c.name]
    with pytest.raises(RegistryError, match="an approval of"):
        registry.approve(d, "Ada")
    with pytest.raises(RegistryError, match="no name"):
        registry.approve(None, " ")
    event = registry.approve(None, "Ada")
    assert (event.action, event.version, event.by) == ("approve", c.name, "Ada")
    assert event.decision == YES.to_dict()
    assert registry.champion() == c
    assert registry.waiting() == (), "what passed against the champion of before no longer waits"


def test_approve__a_decision_against_another_champion_does_not_count(
    registry: Registry, versions: list[ModelVersion]
) -> None:
    a, b, c, _ = versions
    registry.install_first(a, by="loop")
    registry.settle(b, YES, "ask")
    registry.promote(c, OVERRIDE)
    with pytest.raises(RegistryError, match="while nothing waits"):
        registry.approve(None, "Ada")
    registry.settle(b, YES, "ask")
    registry.settle(b, NO, "ask")
    assert registry.waiting() == (), "refused later, it no longer waits"


@pytest.mark.parametrize(("decision", "mode"), [(YES, "ask"), (NO, "auto")])
def test_settle__repeated_changes_nothing(
    registry: Registry, versions: list[ModelVersion], decision: GateDecision, mode: str
) -> None:
    registry.install_first(versions[0], by="loop")
    first = registry.settle(versions[1], decision, mode)
    assert registry.settle(versions[1], decision, mode) == first
    assert [e.action for e in registry.history()] == ["first", "challenge", first.action]


def test_pin__serves_in_the_champions_place(registry: Registry, versions: list[ModelVersion]) -> None:
    a, b, c, d = versions
    registry.install_first(a, by="loop")
    registry.settle(b, YES)
    pinned = registry.pin(a, "Ada", "the old one for the parade")
    assert registry.promotions.serving() == a.name
    assert registry.champion() == b
    promoted = registry.settle(c, YES)
    assert registry.promotions.serving() == a.name
    served = registry.served_at(promoted.time)
    assert served is not None
    assert (served.version, served.event, served.until) == (a.name, pinned, None)
    with pytest.raises(RegistryError, match="neither served nor passed"):
        registry.pin(d, "Ada", "a version nobody tested")
    ended = registry.unpin("Ada")
    assert registry.promotions.serving() == c.name
    assert [p.version for p in periods_of(registry.history())] == [a.name, b.name, a.name, c.name]
    assert registry.served_at(ended.time - timedelta(microseconds=1)).version == a.name
    with pytest.raises(RegistryError, match="no pin to end"):
        registry.unpin("Ada")


def test_first_with__is_the_first_whole_version_of_that_make(registry: Registry) -> None:
    def version(backbone: str, n: int) -> ModelVersion:
        head = {"backbone": backbone, "preprocessing": "center-crop-224/1", "n": n}
        return registry.create({"head.json": json.dumps(head).encode()}, {})

    never, small, first, second = version("lite2", 0), version("lite0", 1), version("lite2", 2), version("lite2", 3)
    registry.install_first(small, by="loop")
    registry.promote(first, OVERRIDE)
    registry.promote(second, OVERRIDE)
    registry.challenge(never)
    assert registry.first_with("lite2", "center-crop-224/1") == first
    assert registry.first_with("lite2", "letterbox-224/1") is None
    first.path("head.json").write_text("{}")
    assert registry.first_with("lite2", "center-crop-224/1") == second
