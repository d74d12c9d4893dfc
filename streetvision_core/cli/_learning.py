"""`streetvision train`, `calibrate`, `evaluate`, `select`: one step each, outside the loop."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from streetvision_core.cli._output import emit, say, stdout

Profile = Annotated[str, typer.Option(help="Settings profile; empty takes SV_PROFILE or embedded.")]
DayText = Annotated[str, typer.Option(help="The day, YYYY-MM-DD; empty means today, UTC.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command(epilog="Example:  streetvision train --json")(train)
    app.command(epilog="Example:  streetvision calibrate")(calibrate)
    app.command(
        epilog="Examples:  streetvision evaluate   ·   streetvision evaluate --streets ../shared/streets --json"
    )(evaluate)
    app.command(epilog="Example:  streetvision select --day 2026-11-23")(select)


def train(day: DayText = "", profile: Profile = "", as_json: Json = False) -> None:
    """Trains the day's challenger head from the starter pack and what the days so far have mined."""
    from streetvision_core.loop import tasks

    trained = tasks.train_challenger(tasks.open_day(profile, day))
    if as_json:
        emit(trained.to_dict())
        return
    from rich.table import Table

    table = Table(title=f"{len(trained.leaderboard)} candidates, {trained.seconds:.1f} s", title_justify="left")
    for name in ("candidate", "MCC on SELECT", "log-loss"):
        table.add_column(name)
    for candidate in trained.leaderboard[:8]:
        entry = candidate.to_dict()
        table.add_row(entry["name"], f"{entry['select_mcc']:.3f}", f"{entry['select_log_loss']:.3f}")
    stdout.print(table)


def calibrate(day: DayText = "", profile: Profile = "", as_json: Json = False) -> None:
    """Calibrates the day's challenger and certifies its exit bands."""
    from streetvision_core.loop import tasks

    context = tasks.open_day(profile, day)
    bands = tasks.sections.bands(context, tasks.calibrate_challenger(context))
    if as_json:
        emit(tasks.as_dict(bands))
        return
    for band in bands.bands:
        say((band.stage, "bold"), f": {'certified' if band.certified else 'does not exit'}; {band.reason}")


def evaluate(
    streets: Annotated[
        Path | None, typer.Option(help="A folder with labels.csv: cross-validated on its photos.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Also write the result here, as JSON.")] = None,
    profile: Profile = "",
    as_json: Json = False,
) -> None:
    """How good the cascade is, with intervals.

    Without --streets: the champion on TEST rows, under both exit policies. With it: the whole recipe, trained anew in
    each fold, group-disjoint, on every labelled photo of the folder, natively and in each challenge era.
    """
    from streetvision_core.loop import tasks
    from streetvision_core.storage import atomic_write_json

    day = tasks.open_day(profile)
    if streets is None:
        reports = tasks.evaluate_champion(day)
        result = {name: report.to_dict() for name, report in reports.items()}
    else:
        result = tasks.evaluate_photos(day, streets)
    if out is not None:
        atomic_write_json(out, result)
    if as_json:
        emit(result)
    else:
        stdout.print(tasks.evaluation_text(result), markup=False, soft_wrap=True)


def select(day: DayText = "", profile: Profile = "", as_json: Json = False) -> None:
    """Chooses the day's hardest logged queries and puts them before the reviewer."""
    from streetvision_core.loop import tasks

    context = tasks.open_day(profile, day)
    mined = tasks.mine(context, demo=False)
    summary = {"mined": len(mined.rows), "reasons": mined.chosen.reason_counts(), "modes": mined.mode_counts}
    if as_json:
        emit(summary)
        return
    say(f"{summary['mined']} frames wait for review: {summary['reasons']}; run: streetvision review")
