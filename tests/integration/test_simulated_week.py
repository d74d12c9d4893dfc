"""A week of real HTTP traffic at all hours in three time zones, and the nights that learn from it.

Callers in Los Angeles, London and Auckland post pictures to a running gateway; only the clock is simulated, in the
query log. People decide on some days. One night is missed, one is killed and run again, one runs twice. At the end
every query was handled by exactly one night, and every decision counted.
"""

import datetime as dt
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from streetvision_core.data import scenes
from streetvision_core.images.decode import encode_jpeg
from streetvision_core.labels import Decision, LabelStore
from streetvision_core.learning.dataset import Dataset
from streetvision_core.learning.first import record_first_of
from streetvision_core.learning.versions import load_cascade
from streetvision_core.loop.nights import Nights
from streetvision_core.mining.querylog import QueryLog
from streetvision_core.mining.seeds import FREE
from streetvision_core.mining.select import MinedSet
from streetvision_core.models.factory import load_models
from streetvision_core.registry.versions import open_registry
from streetvision_core.serving.app import create_app
from streetvision_core.serving.run import in_background
from streetvision_core.serving.stub import StubEngine
from streetvision_core.settings import load_settings
from tests.small_world import SMALL

MONDAY = dt.date(2026, 11, 23)
ZONES = {"Los Angeles": -8, "London": 0, "Auckland": 13}
HOURS = (0, 7, 13, 23)
"""Local hours at which each zone's callers post."""


class ClockedLog(QueryLog):
    """A query log whose queries are received at the simulated time."""

    now: dt.datetime

    def append_many(self, queries):
        return super().append_many([replace(query, received_at=self.now) for query in queries])


def noise(number):
    """A small picture for the stub model, made at once."""
    rng = np.random.default_rng(number)
    pixels = np.clip(rng.integers(0, 255) + rng.normal(0, 20, (48, 64, 3)), 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG")
    return buffer.getvalue()


def street(number):
    """A rendered street, every other one with road work."""
    return encode_jpeg(
        scenes.render(FREE[220_000 + number], roadwork=number % 2 == 0, width=640, height=360).frame.pixels
    )


@dataclass
class Week:
    """The callers, the people and the nights of one workspace."""

    home: Path
    log: ClockedLog
    client: httpx.Client
    form: str
    picture: object
    sent: int = 0
    table: list = field(default_factory=list)
    decided: dict = field(default_factory=dict)
    clock: dt.datetime = dt.datetime(2026, 11, 23, tzinfo=dt.UTC)

    @property
    def data(self):
        return self.home / "data"

    def traffic(self, until):
        """Every post due by the simulated time `until`, in the order of the clock."""
        for moment in self._due(until):
            self.log.now = moment
            answer = self.client.post(
                "/v1/predict", content=self.picture(self.sent), headers={"content-type": "image/jpeg"}
            )
            assert answer.status_code == 200, answer.text
            self.sent += 1
            wait_for(lambda: self.log.last_id() == self.sent)
        self.clock = until

    def _due(self, until):
        days = [MONDAY + dt.timedelta(days=i) for i in range(-1, 8)]
        moments = [
            dt.datetime.combine(day, dt.time(hour, 30), dt.timezone(dt.timedelta(hours=zone)))
            for day in days
            for hour in HOURS
            for zone in ZONES.values()
        ]
        return sorted(moment for moment in moments if self.clock <= moment < until)

    def decide(self, who, ids):
        """A person's decisions about the images of queries, in the label store."""
        rows = {row.id: row for row in self.log.rows()}
        with LabelStore(self.data / "labels.sqlite") as labels:
            labels.record_decisions(
                [
                    Decision(rows[i].sha256, i % 2, "person", who, dt.datetime.now(dt.UTC), query=f"query-{i}")
                    for i in ids
                ]
            )
            self.decided |= {rows[i].sha256: labels.position() for i in ids}

    def begin_night(self, now):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("SV_")}
        environment |= SMALL | {"SV_PATHS__HOME": str(self.home), "SV_MINING__WORKBENCH": "off"}
        command = [sys.executable, str(Path(__file__).with_name("one_night.py")), now.isoformat(), self.form]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def end_night(self, child, now, note=""):
        out, err = child.communicate(timeout=1800)
        assert child.returncode == 0, err[-3000:]
        outcome = json.loads(out.splitlines()[-1])
        snapshot = Nights(self.data).begun(str(now.date()))
        self.table.append((now, snapshot, outcome, note))
        return outcome, snapshot

    def night(self, now, note=""):
        return self.end_night(self.begin_night(now), now, note)

    def kill_night(self, now):
        child = self.begin_night(now)
        state = self.data / "days" / str(now.date()) / "run.json"
        wait_for(lambda: state.exists() and '"running"' in state.read_text(), 120)
        child.send_signal(signal.SIGKILL)
        child.communicate()
        self.table.append((now, Nights(self.data).begun(str(now.date())), None, "killed"))

    def story(self):
        """The table of the week."""
        lines = [f"{'night began (UTC)':18} {'queries':>9} {'days covered':34} {'decisions up to':>15}  note"]
        for now, snapshot, outcome, note in self.table:
            ids = f"{snapshot.first_query_id}-{snapshot.last_query_id}" if snapshot.has_queries else "none"
            days = ", ".join(day[5:] for day in snapshot.days)
            end = note or ("quiet" if outcome and not outcome["steps"] else "")
            lines.append(f"{now:%a %d %b %H:%M}   {ids:>9} {days:34} {snapshot.label_position:>15}  {end}")
        return "\n".join(lines)


def wait_for(condition, seconds=20.0):
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, "waited in vain"
        time.sleep(0.01)


@contextmanager
def running_week(home, form, engine, picture):
    """A gateway over an engine, whose query log keeps the simulated time."""
    base = load_settings("embedded")
    settings = base.model_copy(update={"paths": base.paths.model_copy(update={"home": home})})
    log = ClockedLog(home / "data" / "queries")
    with (
        in_background(create_app(engine, settings, log)) as url,
        httpx.Client(base_url=url, timeout=60, trust_env=False) as client,
    ):
        wait_for(lambda: client.get("/health/ready").status_code == 200, 60)
        yield Week(home, log, client, form, picture)


@pytest.fixture
def week(tmp_path):
    with running_week(tmp_path, "short", StubEngine(), noise) as made:
        yield made


@pytest.fixture
def real_week(tmp_path, monkeypatch):
    """The first version of a workspace behind the gateway, rendered streets in front of it."""
    (tmp_path / "notebooks").symlink_to(Path(__file__).parents[2] / "notebooks")
    for name, value in (SMALL | {"SV_PATHS__HOME": str(tmp_path)}).items():
        monkeypatch.setenv(name, value)
    settings = load_settings("embedded")
    registry = open_registry(settings)
    record_first_of(settings, registry)
    with running_week(tmp_path, "long", load_cascade(registry, settings, load_models(settings)), street) as made:
        yield made


def at(day, hour=0, minute=0):
    return dt.datetime(2026, 11, day, hour, minute, tzinfo=dt.UTC)


def live(week):
    """The week from Monday to the Monday after it."""
    week.traffic(at(24, 2))
    week.night(at(24, 2))
    week.decide("anna", [1, 2, 3])
    week.traffic(at(25, 2))
    child = week.begin_night(at(25, 2))
    wait_for(lambda: Nights(week.data).begun("2026-11-25") is not None, 120)
    week.traffic(at(25, 9))  # while the night runs
    week.decide("ben", [4])
    week.end_night(child, at(25, 2), "queries and a decision arrive meanwhile")
    week.traffic(at(27, 2))  # the night of the 26th is missed
    week.kill_night(at(27, 2))
    week.traffic(at(27, 5))
    week.night(at(27, 5), "the killed one, run again")
    week.traffic(at(28, 2))
    week.night(at(28, 2))
    week.traffic(at(28, 20))
    week.decide("anna", [5, 30])
    week.night(at(28, 20), "the same night again, with what came since")
    week.traffic(at(30, 2))
    week.night(at(30, 2), "the night of the 29th is missed")
    week.clock = at(30, 3)
    week.night(at(30, 3), "again, nothing new")


def check(week):
    """Each query belongs to one finished night; prints the table of the week."""
    finished = Nights(week.data).finished()
    handled = Counter(row.id for night in finished for row in night.queries(week.log))
    assert handled == Counter(range(1, week.sent + 1)), "each query by exactly one night"
    assert week.sent > 80
    assert len({row.received_at.hour for row in week.log.rows()}) >= 9, "posts are spread over the hours of UTC"
    assert [night.night[-2:] for night in finished] == ["24", "25", "27", "28", "30"]
    assert set(week.table[-1][2]["steps"].values()) == {"skipped"}, "nothing new: nothing runs again"
    assert len(week.decided) == 6
    return finished


def test_week__every_query_is_handled_once_and_every_decision_counts(week, capsys):
    live(week)
    with capsys.disabled():
        print(f"\n{week.story()}")
    for night in check(week):
        steps = json.loads((week.data / "days" / night.night / "run.json").read_text())["steps"]
        ids = [row.id for row in night.queries(week.log)]
        for step in ("mine", "train"):
            found = steps[step]["result"]
            assert found["first"] == found["second"] == ids, "all steps of a night see the same queries"
        counted = {image for image, position in week.decided.items() if position <= night.label_position}
        assert set(found["people"]) == counted, "decisions up to the night's start, about whatever day"
    assert set(found["people"]) == set(week.decided), "every decision counted"


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_week__of_real_nights_mines_every_query_once_and_learns_every_decision(real_week, capsys):
    live(real_week)
    with capsys.disabled():
        print(f"\n{real_week.story()}")
    for night in check(real_week):
        folder, queries = real_week.data / "days" / night.night, night.queries(real_week.log)
        chosen = MinedSet.load(folder / "mined.json")
        assert chosen.considered == len(queries)
        assert set(chosen.ids) <= {row.name for row in queries}
        assert json.loads((folder / "story" / "traffic.json").read_text())["frames"] == len(queries)
        page = (real_week.home / "reports" / night.night / "index.html").read_text()
        assert "renderer's own truth" not in page, "nobody knows the truth of what callers post"
        assert "wait for a person" in page
        rows = Dataset.load(folder / "dataset.parquet").to_pandas()
        learned = set(rows[rows.labelled_by == "person"].image) & {row.sha256 for row in real_week.log.rows()}
        counted = {image for image, position in real_week.decided.items() if position <= night.label_position}
        assert learned == counted, "every decision up to the night's start is in its dataset"
    assert counted == set(real_week.decided)
