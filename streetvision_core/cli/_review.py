"""`streetvision review`: the App, and the same decisions as a CSV sheet."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import Annotated

import typer

from streetvision_core.cli._learning import DayText, Json, Profile
from streetvision_core.cli._output import emit, say

Reviewer = Annotated[str, typer.Option(help="Who decides; empty takes the name you are logged in with.")]

review_app = typer.Typer(
    invoke_without_command=True,
    help="Opens the App where you accept, flip, tag or set aside what was mined; or do the same in a CSV sheet.",
    epilog="Examples:  streetvision review   ·   streetvision review export --day 2026-11-23 sheet.csv   ·   "
    "streetvision review import --day 2026-11-23 sheet.csv   ·   streetvision review status",
)


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.add_typer(review_app, name="review")


@review_app.callback()
def review(
    context: typer.Context,
    reviewer: Reviewer = "",
    port: Annotated[int, typer.Option(help="Port of the App, on this machine only; 0 takes a free one.")] = 5151,
    browser: Annotated[bool, typer.Option(help="Open the page in your browser.")] = True,
    day: DayText = "",
    profile: Profile = "",
) -> None:
    """Opens the App on all days that were mined; ends with Ctrl-C."""
    if context.invoked_subcommand is not None:
        return
    from streetvision_core.loop import tasks

    say("the App starts; this takes half a minute")
    with tasks.open_review(tasks.open_day(profile, day), _who(reviewer), port) as app:
        say((app.url, "bold"), f"\n  keys: {app.keys}\n  end with Ctrl-C; every decision is on disk already")
        if browser:
            typer.launch(app.url)
        app.wait()


@review_app.command("export", epilog="Example:  streetvision review export --day 2026-11-23 sheet.csv")
def export_sheet(
    sheet: Annotated[Path, typer.Argument(help="The CSV file to write.")],
    day: DayText = "",
    profile: Profile = "",
    as_json: Json = False,
) -> None:
    """Writes the day's sheet, decisions so far included; fill in the column decision."""
    from streetvision_core.loop import tasks

    context = tasks.open_day(profile, day)
    undecided = context.desk.write_sheet(context.date.isoformat(), sheet)
    if as_json:
        emit({"sheet": str(sheet), "undecided": undecided})
        return
    say(f"{sheet}: {undecided} frames are undecided; decision is one of accept, flip, set-aside, tag")


@review_app.command("import", epilog="Example:  streetvision review import --day 2026-11-23 sheet.csv --reviewer anna")
def import_sheet(
    sheet: Annotated[Path, typer.Argument(help="A sheet written by review export and filled in.")],
    reviewer: Reviewer = "",
    day: DayText = "",
    profile: Profile = "",
    as_json: Json = False,
) -> None:
    """Records a filled-in sheet's decisions; importing it again changes nothing."""
    from streetvision_core.loop import tasks

    context = tasks.open_day(profile, day)
    new = context.desk.read_sheet(context.date.isoformat(), sheet, _who(reviewer))
    if as_json:
        emit({"sheet": str(sheet), "recorded": new})
        return
    say(f"{new} decisions recorded; they count from the next: streetvision select --day {context.date}")


@review_app.command("status", epilog="Example:  streetvision review status --json")
def status(profile: Profile = "", as_json: Json = False) -> None:
    """How far the review of each day has come, and who decided."""
    from streetvision_core.loop import tasks

    desk = tasks.open_day(profile).desk
    days = [tasks.as_dict(desk.progress(day)) for day in desk.days()]
    if as_json:
        emit(days)
        return
    for d in days:
        decided = f"{d['accepted']} accepted, {d['flipped']} flipped, {d['set_aside']} set aside"
        say((str(d["day"]), "bold"), f": {d['open']} of {d['shown']} open; {decided}; {d['by'] or 'nobody yet'}")
    if not days:
        say("no day was mined yet; run: streetvision select")


def _who(reviewer: str) -> str:
    try:
        return reviewer or getpass.getuser()
    except (KeyError, OSError):
        raise typer.BadParameter("who decides? this machine has no name for you: give --reviewer") from None
