"""Where a night's files lie, and which nights there are. A night is named by its date, or by the past days it repeats.

* `data/days/<night>/snapshot.json`: which queries and decisions it works on
* `data/days/<night>/run.json`: state of its steps
* `data/days/<night>/story.json`: what its report says, for the weekly report
* `data/nights.jsonl`: the finished nights
* `data/loop.lock`: held while a loop runs
* `reports/<night>/index.html`: its report; `failed-<time>.html` beside it: of a later run that failed
* `reports/<night>/steps/<step>.*`: executed notebooks and their pages
* `reports/weekly/<YYYY-Www>.html`: the weekly report
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from streetvision_core.errors import LoopError
from streetvision_core.settings import Settings

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_WEEK = re.compile(r"(\d{4})-W(\d{2})")
_OF_THE_CHECKOUT: Final = Path(__file__).resolve().parents[2] / "notebooks"

Night = dt.date | str
"""A night by its date, or by its name: `2026-11-24`, `2026-11-20_to_2026-11-22`."""


@dataclass(frozen=True, slots=True)
class Workspace:
    """The folders of one installation.

    Attributes:
        home: the folder that relative paths count from, absolute.
        data: the data folder, absolute.
        reports: the reports folder, absolute.
        streets: the folder of real photos; it may be absent.
    """

    home: Path
    data: Path
    reports: Path
    streets: Path

    @classmethod
    def of(cls, settings: Settings) -> Workspace:
        """The workspace that the settings name."""
        paths = settings.paths
        return cls(paths.home.resolve(), *(paths.resolve(name) for name in ("data", "reports", "streets")))

    @property
    def notebooks(self) -> Path:
        """The notebooks that the loop runs: the workspace's own, else those of the checkout this package lies in.

        Raises:
            LoopError: there are neither.
        """
        for folder in (own := self.home / "notebooks", _OF_THE_CHECKOUT):
            if folder.is_dir():
                return folder
        raise LoopError(
            got=f"no notebooks in {self.home}, and none beside the package",
            allowed="the folder notebooks of a checkout of StreetVision",
            action=f"copy it to {own}",
        )

    @property
    def lock(self) -> Path:
        """The lock file of the loop."""
        return self.data / "loop.lock"

    def day_folder(self, day: Night) -> Path:
        """Data of one day."""
        return self.data / "days" / str(day)

    def run_file(self, day: Night, pipeline: str = "daily") -> Path:
        """State of one pipeline's run on one day."""
        return self.day_folder(day) / ("run.json" if pipeline == "daily" else f"run-{pipeline}.json")

    def story_file(self, day: Night) -> Path:
        """What the day's report tells, as JSON."""
        return self.day_folder(day) / "story.json"

    def report_folder(self, day: Night) -> Path:
        """The day's report."""
        return self.reports / str(day)

    def report_file(self, day: Night) -> Path:
        """The day's index page."""
        return self.report_folder(day) / "index.html"

    def steps_folder(self, day: Night) -> Path:
        """Executed notebooks of the day and their pages."""
        return self.report_folder(day) / "steps"

    def weekly_file(self, week: str) -> Path:
        """The page of one ISO week such as `2026-W47`."""
        week_days(week)
        return self.reports / "weekly" / f"{week}.html"

    def list_runs(self, pipeline: str = "daily") -> list[dt.date]:
        """The days that have a state file, oldest first."""
        folders = (self.data / "days").glob("*")
        days = [dt.date.fromisoformat(f.name) for f in folders if _is_day(f.name)]
        return sorted(day for day in days if self.run_file(day, pipeline).is_file())

    def fill(self, pattern: str, day: Night) -> Path:
        """Fills `{home}`, `{data}`, `{reports}`, `{streets}`, `{day}`, `{day_folder}` of a path pattern.

        Raises:
            LoopError: another name in braces.
        """
        names = {"home": self.home, "data": self.data, "reports": self.reports, "streets": self.streets}
        try:
            text = pattern.format(**names, day=str(day), day_folder=self.day_folder(day))
        except (KeyError, IndexError, ValueError) as error:
            raise LoopError(
                got=f"the path pattern {pattern!r}",
                allowed="{home}, {data}, {reports}, {streets}, {day}, {day_folder}",
                action="mend the step's inputs or outputs",
                pattern=pattern,
            ) from error
        return self.home / text


def parse_day(text: str | dt.date | None = None) -> dt.date:
    """A day from `YYYY-MM-DD`; None or an empty text means today in UTC.

    Raises:
        LoopError: anything else, or a date that does not exist.

    Example:
        >>> parse_day("2026-11-23")
        datetime.date(2026, 11, 23)
    """
    if not text:
        return dt.datetime.now(dt.UTC).date()
    if isinstance(text, dt.date):
        return text.date() if isinstance(text, dt.datetime) else text
    if not _is_day(text):
        raise LoopError(
            got=f"the day {text!r}",
            allowed="YYYY-MM-DD, a date that exists",
            action="write for example --day 2026-11-23, or leave it out for today (UTC)",
            day=text,
        )
    return dt.date.fromisoformat(text)


def parse_night(text: str = "") -> tuple[dt.date, str]:
    """A night's last day and its name, from `YYYY-MM-DD` or `<since>_to_<until>`; empty text means today in UTC.

    Raises:
        LoopError: anything else.

    Example:
        >>> parse_night("2026-11-20_to_2026-11-22")
        (datetime.date(2026, 11, 22), '2026-11-20_to_2026-11-22')
    """
    since, _, until = text.partition("_to_")
    first = parse_day(since)
    last = parse_day(until) if until else first
    return last, text or last.isoformat()


def last_complete_week(today: dt.date) -> str:
    """The ISO week that ended last: on a Monday, the one of the day before.

    Example:
        >>> last_complete_week(dt.date(2026, 11, 23))
        '2026-W47'
    """
    return week_of(today - dt.timedelta(days=today.isoweekday()))


def week_of(day: dt.date) -> str:
    """The ISO week of a day, e.g. `2026-W47`."""
    return f"{day:%G-W%V}"


def week_days(week: str) -> list[dt.date]:
    """The seven days of an ISO week, Monday first.

    Raises:
        LoopError: not `YYYY-Www`, or a week that the year does not have.
    """
    match = _WEEK.fullmatch(week)
    try:
        if match is None:
            raise ValueError(week)
        return [dt.date.fromisocalendar(int(match[1]), int(match[2]), number) for number in range(1, 8)]
    except ValueError as error:
        raise LoopError(
            got=f"the week {week!r}",
            allowed="YYYY-Www, an ISO week that exists",
            action=f"write for example {week_of(parse_day())}",
            week=week,
        ) from error


def _is_day(text: str) -> bool:
    if not _DAY.fullmatch(text):
        return False
    try:
        dt.date.fromisoformat(text)
    except ValueError:
        return False
    return True
