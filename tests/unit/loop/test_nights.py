"""Which queries a night works on: each query belongs to one night, whatever the clock, the missed nights, the kills."""

import datetime as dt
import json
from pathlib import Path

import pytest

from streetvision_core.errors import LoopError
from streetvision_core.labels import Decision, LabelStore
from streetvision_core.loop.nights import Nights, next_snapshot, past_snapshot
from streetvision_core.mining.querylog import NewQuery, QueryLog
from streetvision_core.types import Verdict

UTC = dt.UTC


NOTHING = LabelStore(Path("there is no such folder") / "labels.sqlite")


def at(day, hour=12, zone=0):
    return dt.datetime(2026, 11, day, hour, tzinfo=dt.timezone(dt.timedelta(hours=zone)))


def logged(log, *moments, origin="http"):
    verdict = Verdict(0.7, "classifier", True, (), model_version="v0001", policy="certified", seconds=0.01)
    log.append_many(
        [NewQuery(f"{m.isoformat()}{i}".encode(), verdict, "native", f"g{i}", origin, m) for i, m in enumerate(moments)]
    )


@pytest.fixture
def log(tmp_path):
    with QueryLog(tmp_path / "queries") as made:
        yield made


@pytest.fixture
def nights(tmp_path):
    return Nights(tmp_path)


def decide(labels, number, source="person", day=21):
    labels.record_decisions([Decision(f"{number:064x}", 1, source, "anna", at(day))])


def ids(snapshot, log):
    return [row.id for row in snapshot.queries(log)]


def test_next_snapshot__follows_the_last_finished_night_over_a_missed_one(log, nights):
    logged(log, at(20, 23, zone=-8), at(20, 1), at(21, 3, zone=13))
    first = next_snapshot(log, NOTHING, nights, "2026-11-21", now=at(21, 2))
    assert ids(first, log) == [1, 2, 3]
    assert first.days == ("2026-11-20", "2026-11-21"), "days of UTC, whatever the callers' clocks"
    nights.record_finished(first)
    logged(log, at(21, 4), at(22, 5))  # the night of 22 November is missed
    logged(log, at(23, 1))
    second = next_snapshot(log, NOTHING, nights, "2026-11-23", now=at(23, 2))
    assert ids(second, log) == [4, 5, 6]
    assert second.days == ("2026-11-21", "2026-11-22", "2026-11-23")


def test_snapshot__queries_that_arrive_meanwhile_change_nothing(log, nights):
    logged(log, *(at(20, h) for h in range(4)))
    snapshot = next_snapshot(log, NOTHING, nights, "2026-11-21", now=at(21, 2))
    nights.record_begun(snapshot)
    logged(log, *(at(21, h) for h in range(4)))
    assert ids(nights.begun("2026-11-21"), log) == [1, 2, 3, 4]


def test_next_snapshot__a_killed_night_goes_on_with_what_it_had(log, nights):
    logged(log, at(20))
    nights.record_begun(next_snapshot(log, NOTHING, nights, "2026-11-21", now=at(21, 2)))
    logged(log, at(21, 3))
    assert ids(next_snapshot(log, NOTHING, nights, "2026-11-21", now=at(21, 4)), log) == [1]
    assert ids(next_snapshot(log, NOTHING, nights, "2026-11-21", now=at(21, 4), fresh=True), log) == [1, 2]
    later = next_snapshot(log, NOTHING, nights, "2026-11-22", now=at(22, 2))
    assert ids(later, log) == [1, 2], "what the killed night had is not lost to the next one"


def test_next_snapshot__a_finished_night_that_runs_again_takes_in_what_came_since(tmp_path, log, nights):
    logged(log, at(20))
    labels = LabelStore(tmp_path / "labels.sqlite")
    decide(labels, 1)
    first = next_snapshot(log, labels, nights, "2026-11-21", now=at(21, 2))
    nights.record_begun(first)
    nights.record_finished(first)
    decide(labels, 2, source="machine")
    same = next_snapshot(log, labels, nights, "2026-11-21", now=at(21, 3))
    assert (same.last_query_id, same.label_position) == (1, 1), "what the night itself has recorded is no news to it"
    file = tmp_path / "days" / "2026-11-21" / "snapshot.json"
    before = file.read_bytes()
    nights.record_begun(same)
    assert file.read_bytes() == before, "its steps stay unchanged"
    logged(log, at(21, 4))
    decide(labels, 3)
    more = next_snapshot(log, labels, nights, "2026-11-21", now=at(21, 5))
    assert (ids(more, log), more.label_position) == ([1, 2], 3)
    nights.record_finished(more)
    assert ids(next_snapshot(log, labels, nights, "2026-11-22", now=at(22)), log) == []
    assert [night.night for night in nights.finished()] == ["2026-11-21"]


def test_past_snapshot__never_moves_the_cursor(log, nights):
    logged(log, at(19), at(20), at(21))
    nights.record_finished(next_snapshot(log, NOTHING, nights, "2026-11-21", now=at(21, 23)))
    logged(log, at(22))
    past = past_snapshot(log, NOTHING, dt.date(2026, 11, 19), dt.date(2026, 11, 20), now=at(22, 13))
    assert (ids(past, log), past.night, past.moves_cursor) == ([1, 2], "2026-11-19_to_2026-11-20", False)
    nights.record_finished(past)
    assert ids(next_snapshot(log, NOTHING, nights, "2026-11-23", now=at(23)), log) == [4]


@pytest.mark.parametrize(
    ("since", "until", "told"),
    [(22, 24, "which has not begun"), (21, 20, "the older day as --since")],
)
def test_past_snapshot__refuses(log, since, until, told):
    with pytest.raises(LoopError, match=told):
        past_snapshot(log, NOTHING, dt.date(2026, 11, since), dt.date(2026, 11, until), now=at(23, 2))


def test_next_snapshot__numbers_are_never_given_twice_when_all_is_pruned(log, nights):
    logged(log, at(1), at(2))
    nights.record_finished(next_snapshot(log, NOTHING, nights, "2026-11-03", now=at(3)))
    assert log.prune(keep_days=0, now=at(10)) == 2
    assert log.last_id() == 2
    logged(log, at(10))
    assert ids(next_snapshot(log, NOTHING, nights, "2026-11-11", now=at(11)), log) == [3]


def test_next_snapshot__another_log_is_taken_in_as_a_whole(tmp_path, log, nights):
    logged(log, *(at(1, h) for h in range(9)))
    nights.record_finished(next_snapshot(log, NOTHING, nights, "2026-11-02", now=at(2)))
    with QueryLog(tmp_path / "other") as other:
        logged(other, at(2), at(3))
        assert ids(next_snapshot(other, NOTHING, nights, "2026-11-04", now=at(4)), other) == [1, 2]


def test_next_snapshot__a_workspace_without_a_cursor_begins_behind_what_its_days_mined(tmp_path, log, nights):
    logged(log, at(20, 1), at(20, 23), at(21, 1))
    logged(log, at(21, 3))
    for day in ("2026-11-20", "2026-11-21"):
        folder = tmp_path / "days" / day
        folder.mkdir(parents=True)
        (folder / "mined.json").write_text("{}")
        # the loop ran at two in the morning of the day it was to mine
        (folder / "run.json").write_text(json.dumps({"updated_at": f"{day}T02:10:00+00:00"}))
    assert ids(next_snapshot(log, NOTHING, nights, "2026-11-22", now=at(22)), log) == [4]


def test_next_snapshot__a_simulated_day_was_mined_whatever_time_its_queries_carry(tmp_path, log, nights):
    logged(log, at(20, 23), origin="rendered-scene")
    folder = tmp_path / "days" / "2026-11-20"
    folder.mkdir(parents=True)
    (folder / "mined.json").write_text("{}")
    (folder / "run.json").write_text(json.dumps({"updated_at": "2026-11-20T09:00:00+00:00"}))
    assert ids(next_snapshot(log, NOTHING, nights, "2026-11-21", now=at(21)), log) == []


def test_begun__a_broken_file_is_named(nights):
    folder = nights.data / "days" / "2026-11-21"
    folder.mkdir(parents=True)
    (folder / "snapshot.json").write_text("{")
    with pytest.raises(LoopError, match="remove"):
        nights.begun("2026-11-21")


def test_finished__a_broken_line_is_named(log, nights):
    logged(log, at(20))
    nights.record_finished(next_snapshot(log, NOTHING, nights, "2026-11-21", now=at(21)))
    with (nights.data / "nights.jsonl").open("a") as file:
        file.write('{"night": "2026-11-22"}\n')
    with pytest.raises(LoopError, match="remove line 2 of"):
        nights.last()
