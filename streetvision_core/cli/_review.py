"""`streetvision review`: the App, and the same decisions as a CSV sheet."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streetvision_core.cli._learning import DayText, Json, Profile
from streetvision_core.cli._output import OK, PARTLY, emit, say

if TYPE_CHECKING:
    from streetvision_core.labels import Decision
    from streetvision_core.mining.review_queue import ReviewQueue

Reviewer = Annotated[str, typer.Option(help="Who decides; empty takes the name you are logged in with.")]

review_app = typer.Typer(
    invoke_without_command=True,
    help="Opens the App where you accept, flip, tag or set aside what was mined; or do the same in a CSV sheet.",
    epilog="Examples:  streetvision review   ·   streetvision review export sheet.csv   ·   "
    "streetvision review import sheet.csv   ·   streetvision review undo   ·   streetvision review status",
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
    from streetvision_core.cli._night import open_night
    from streetvision_core.learning.workbench import is_filled, open_review, workbench_home, workbench_job
    from streetvision_core.mining.workbench import run_workbench
    from streetvision_core.settings import load_settings

    settings = load_settings(profile or None)
    if not is_filled(settings):
        with open_night(profile, day) as night:
            job = workbench_job(night.mined(), {}, night.folder.name, night.log, settings)
        run_workbench(job, workbench_home(settings))
    say("the App starts; this takes half a minute")
    with open_review(settings, _who(reviewer), port) as app:
        say((app.url, "bold"), f"\n  keys: {app.keys}\n  end with Ctrl-C; every decision is on disk already")
        if browser:
            typer.launch(app.url)
        app.wait()


@review_app.command(
    "export",
    epilog="Examples:  streetvision review export sheet.csv   ·   "
    "streetvision review export --since 2026-11-23 --until 2026-11-29 --open sheet.csv",
)
def export_frames(
    sheet: Annotated[Path, typer.Argument(help="The CSV file to write.")],
    day: DayText = "",
    since: Annotated[str, typer.Option(help="First day of a range, YYYY-MM-DD.")] = "",
    until: Annotated[str, typer.Option(help="Last day of a range, YYYY-MM-DD; empty: the newest.")] = "",
    only_open: Annotated[bool, typer.Option("--open", help="Only frames that no person has decided about.")] = False,
    profile: Profile = "",
    as_json: Json = False,
) -> None:
    """Writes shown frames with path and file name, decisions so far included; fill in the column decision.

    Without days: the newest day that was mined.
    """
    from streetvision_core.mining.review_sheet import export_sheet, summary_of

    data, queue = _queue(profile)
    days = _days(queue, day, since, until)
    frames = [frame for one in days for frame in queue.frames(one) if not only_open or frame.choice is None]
    export_sheet(sheet, frames, lambda image: data / "queries" / "images" / image[:2] / f"{image}.jpg")
    if as_json:
        waiting = sum(frame.choice is None for frame in frames)
        emit({"sheet": str(sheet), "days": days, "frames": len(frames), "undecided": waiting})
        return
    say(f"{sheet}: {summary_of(frames)}")


@review_app.command("import", epilog="Example:  streetvision review import sheet.csv --reviewer anna")
def import_decisions(
    sheet: Annotated[Path, typer.Argument(help="A sheet written by review export and filled in.")],
    reviewer: Reviewer = "",
    profile: Profile = "",
    as_json: Json = False,
) -> None:
    """Records a filled-in sheet's decisions; importing it again changes nothing.

    Exit code 3 where lines could not be read or speak of images that are not known here; the others are recorded.
    """
    from datetime import UTC, datetime

    from streetvision_core.mining.querylog import QueryLog
    from streetvision_core.mining.review_sheet import import_sheet

    data, queue = _queue(profile)
    with QueryLog(data / "queries") as log:
        images = log.image_names()
        outcome = import_sheet(
            sheet,
            queue.store,
            reviewer=_who(reviewer),
            now=datetime.now(UTC),
            is_known=set(images.values()).__contains__,
            image_of=images.get,
        )
    if as_json:
        emit(
            {
                "sheet": str(sheet),
                "recorded": outcome.new,
                "unchanged": outcome.unchanged,
                "undecided": outcome.undecided,
                "unknown": [{"image": d.image, "query": d.query} for d in outcome.unknown],
                "bad_lines": [{"line": b.line, "got": b.got, "allowed": b.allowed} for b in outcome.bad],
            }
        )
    else:
        for line in outcome.bad:
            say((f"line {line.line}", "yellow"), f": got {line.got}; allowed: {line.allowed}; the line was skipped")
        for decision in outcome.unknown:
            name = decision.query or decision.image[:12]
            say((name, "yellow"), ": no image of this workspace; kept apart, it counts once the image is here")
        counts = f"{outcome.new} decisions recorded, {outcome.unchanged} held already, {outcome.undecided} lines open"
        say(f"{counts}; they count from the next night on (streetvision daily)")
    raise typer.Exit(PARTLY if outcome.bad or outcome.unknown else OK)


@review_app.command("undo", epilog="Examples:  streetvision review undo   ·   streetvision review undo --image 3f2a…")
def undo(
    image: Annotated[str, typer.Option(help="sha256 of the image, or its beginning; empty: your last decision.")] = "",
    reviewer: Reviewer = "",
    profile: Profile = "",
) -> None:
    """Withdraws your newest decision about an image; what was decided before it holds again."""
    from datetime import UTC, datetime

    _, queue = _queue(profile)
    who = _who(reviewer)
    gone = queue.store.undo(queue.store.find_image(image, who), who, datetime.now(UTC))
    label = queue.store.labels().get(gone.image)
    words = {1: "road work", 0: "none", None: "set aside"}
    now = "no label" if label is None else f"{words[label.label]}, by {label.who}"
    say((gone.query or gone.image[:12], "bold"), f": {words[gone.label]} is withdrawn; what holds now: {now}")


@review_app.command("status", epilog="Example:  streetvision review status --json")
def status(profile: Profile = "", as_json: Json = False) -> None:
    """How far the review of each day has come, who decided, and how long the oldest open frame has waited."""
    from dataclasses import asdict
    from datetime import UTC, datetime

    _, queue = _queue(profile)
    days = [asdict(queue.progress(day)) for day in queue.days()]
    backlog, unknown = queue.backlog(), queue.store.unknown()
    age = backlog.age_days(datetime.now(UTC).date())
    if as_json:
        waiting = {"open": backlog.open, "oldest_day": backlog.oldest_day, "age_days": age}
        emit({"days": days, "backlog": waiting, "unknown": [{"image": d.image, "query": d.query} for d in unknown]})
        return
    for d in days:
        decided = f"{d['accepted']} accepted, {d['flipped']} flipped, {d['set_aside']} set aside"
        say((str(d["day"]), "bold"), f": {d['open']} of {d['shown']} open; {decided}; {d['by'] or 'nobody yet'}")
    if not days:
        say("no day was mined yet; run: streetvision select")
    elif backlog.open:
        say(f"{backlog.open} frames wait, the oldest for {age} days; run: streetvision review")
    if unknown:
        say(f"{len(unknown)} decisions are about images that are not here: {', '.join(_names(unknown))}")


def _queue(profile: str) -> tuple[Path, ReviewQueue]:
    """The data folder and what it has for review; no model is loaded."""
    from streetvision_core.mining.review_queue import ReviewQueue
    from streetvision_core.settings import load_settings

    data = load_settings(profile or None).paths.resolve("data")
    return data, ReviewQueue.of_data(data)


def _days(queue: ReviewQueue, day: str, since: str, until: str) -> list[str]:
    """The mined days that were asked for, refused by name where one is still to come or there is none."""
    from datetime import UTC, datetime

    from streetvision_core.errors import DataError

    mined, today = queue.days(), datetime.now(UTC).date().isoformat()
    for asked in filter(None, (day, since, until)):
        if asked > today:
            raise DataError(f"the day {asked}, which is still to come", f"a day until {today} (UTC)", "name a past day")
    if day:
        queue.shown(day)
        return [day]
    found = [one for one in mined if (since or one) <= one <= (until or one)] if since or until else mined[-1:]
    if not found:
        raise DataError(
            got=f"no mined day from {since or 'the first'} to {until or 'the newest'}",
            allowed=f"days such as {', '.join(mined[-3:])}" if mined else "a day that was mined; there is none yet",
            action="run: streetvision select",
        )
    return found


def _names(decisions: list[Decision]) -> list[str]:
    return [d.query or d.image[:12] for d in decisions[:5]]


def _who(reviewer: str) -> str:
    try:
        return reviewer or getpass.getuser()
    except (KeyError, OSError):
        raise typer.BadParameter("who decides? this machine has no name for you: give --reviewer") from None
