"""`streetvision daily` and `weekly`."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated

import typer

from streetvision_core.cli._learning import Json, Profile
from streetvision_core.cli._output import OK, PARTLY, emit, say


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command(
        epilog="Examples:  streetvision daily   ·   streetvision daily --demo --days 3   ·   "
        "streetvision daily --since 2026-11-20 --until 2026-11-22"
    )(daily)
    app.command(epilog="Examples:  streetvision weekly   ·   streetvision weekly --week 2026-W47")(weekly)


def daily(
    demo: Annotated[bool, typer.Option("--demo", help="Send a rendered day of queries first (synthetic).")] = False,
    days: Annotated[
        int, typer.Option(min=1, max=31, help="With --demo: so many simulated days, the last one is --day.")
    ] = 1,
    day: Annotated[
        str, typer.Option(help="The queries of this past UTC day again; with --demo: the one to simulate.")
    ] = "",
    since: Annotated[str, typer.Option(help="The queries of past UTC days again, from this one on.")] = "",
    until: Annotated[str, typer.Option(help="The last of those days; empty means today.")] = "",
    fresh: Annotated[bool, typer.Option("--fresh", help="Run unchanged steps too.")] = False,
    profile: Profile = "",
    as_json: Json = False,
) -> None:
    """Runs the night: mine, synthesize, retrain, calibrate, test against the champion, promote or refuse, report.

    It works on every query since the last finished night. With --day, or --since and --until, it works on those past
    days, and the next night begins where it would have begun. With nothing to learn it ends at once. Interrupted runs
    go on where they stopped; unchanged steps are skipped; one loop runs at a time.
    """
    from streetvision_core.loop.night import Wanted, run_night
    from streetvision_core.loop.workspace import parse_day
    from streetvision_core.settings import load_settings

    _check_choice(demo, days, day, since, until)
    settings = load_settings(profile or None)
    if demo:
        last = parse_day(day)
        wanted = [Wanted(last - dt.timedelta(days=back), demo=True, fresh=fresh) for back in range(days - 1, -1, -1)]
    elif day or since:
        wanted = [Wanted(past=(parse_day(day or since), parse_day(day or until)), fresh=fresh)]
    else:
        wanted = [Wanted(fresh=fresh)]
    code, results = OK, []
    for one in wanted:
        outcome = run_night(settings, one)
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
    week: Annotated[str, typer.Option(help="An ISO week such as 2026-W47; empty means the last complete one.")] = "",
    day: Annotated[str, typer.Option(help="The week that this day lies in, YYYY-MM-DD.")] = "",
    profile: Profile = "",
    as_json: Json = False,
) -> None:
    """Sums up a week as one page; without an option, the week that ended last (UTC)."""
    from streetvision_core.loop.night import run_week
    from streetvision_core.loop.report.build_week import build_week
    from streetvision_core.loop.workspace import last_complete_week, parse_day, week_days, week_of
    from streetvision_core.settings import load_settings
    from streetvision_core.storage import atomic_write_json

    if week and day:
        raise typer.BadParameter("name the week by --week or by --day, not by both")
    week = week or (week_of(parse_day(day)) if day else last_complete_week(parse_day()))
    week_days(week)
    settings = load_settings(profile or None)
    outcome = run_week(settings, week)
    if out is not None:
        atomic_write_json(out, build_week(settings, week).to_dict())
    if as_json:
        emit(outcome.to_dict())
    say((outcome.headline, "bold"))
    say(f"report: {outcome.report}")
    raise typer.Exit(PARTLY if outcome.exit_code else OK)


def _check_choice(demo: bool, days: int, day: str, since: str, until: str) -> None:
    if (since or until) and (demo or day):
        raise typer.BadParameter("--since and --until name past days; they go neither with --day nor with --demo")
    if until and not since:
        raise typer.BadParameter("--until needs --since")
    if days > 1 and not demo:
        raise typer.BadParameter("--days simulates days in a row and needs --demo; for past days: --since and --until")
