"""`streetvision daily` and `weekly`."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated

import typer

from streetvision_core.cli._learning import DayText, Json, Profile
from streetvision_core.cli._output import OK, PARTLY, emit, say


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command(epilog="Examples:  streetvision daily --demo   ·   streetvision daily --demo --days 3")(daily)
    app.command(epilog="Example:  streetvision weekly --day 2026-11-23")(weekly)


def daily(
    demo: Annotated[bool, typer.Option("--demo", help="Answer a rendered day of queries first (synthetic).")] = False,
    days: Annotated[int, typer.Option(min=1, max=31, help="Run this many days in a row, the last one is --day.")] = 1,
    fresh: Annotated[bool, typer.Option("--fresh", help="Run unchanged steps too.")] = False,
    day: DayText = "",
    profile: Profile = "",
    as_json: Json = False,
) -> None:
    """Runs the day: mine, synthesize, retrain, calibrate, test against the champion, promote or refuse, report.

    Interrupted runs go on where they stopped; unchanged steps are skipped; one loop runs at a time.
    """
    from streetvision_core.loop.daily import run_day
    from streetvision_core.loop.workspace import parse_day
    from streetvision_core.settings import load_settings

    settings, last = load_settings(profile or None), parse_day(day)
    code, results = OK, []
    for back in range(days - 1, -1, -1):
        outcome = run_day(settings, last - dt.timedelta(days=back), demo=demo, fresh=fresh)
        results.append(outcome.to_dict())
        say((outcome.headline, "bold"))
        say(f"report: {outcome.report}")
        if outcome.exit_code:
            code = outcome.exit_code if outcome.exit_code >= 128 else PARTLY
            break
    if as_json:
        emit(results)
    raise typer.Exit(code)


def weekly(
    out: Annotated[Path | None, typer.Option(help="Also write the week's figures here, as JSON.")] = None,
    day: DayText = "",
    profile: Profile = "",
    as_json: Json = False,
) -> None:
    """Sums up the week that the day lies in, as one page."""
    from streetvision_core.loop import tasks
    from streetvision_core.loop.daily import run_week
    from streetvision_core.loop.workspace import parse_day
    from streetvision_core.settings import load_settings
    from streetvision_core.storage import atomic_write_json

    outcome = run_week(load_settings(profile or None), parse_day(day))
    if out is not None:
        atomic_write_json(out, tasks.build_week(tasks.open_day(profile, day)).to_dict())
    if as_json:
        emit(outcome.to_dict())
    say((outcome.headline, "bold"))
    say(f"report: {outcome.report}")
    raise typer.Exit(PARTLY if outcome.exit_code else OK)
