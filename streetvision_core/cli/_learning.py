"""`streetvision train`, `evaluate`, `select`: one step each, outside the loop."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from streetvision_core.cli._output import emit, say, stdout

if TYPE_CHECKING:
    from streetvision_core.learning.dataset import Dataset
    from streetvision_core.settings import Settings

_TIMED: Final = 1000
"""The newest logged queries say how long a stage takes."""

Profile = Annotated[str, typer.Option(help="Settings profile; empty takes SV_PROFILE or embedded.")]
DayText = Annotated[str, typer.Option(help="The day, YYYY-MM-DD; empty means today, UTC.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command(epilog="Example:  streetvision train --json")(train)
    app.command(
        epilog="Examples:  streetvision evaluate   ·   streetvision evaluate --streets ../shared/streets --json"
    )(evaluate)
    app.command(epilog="Example:  streetvision select --day 2026-11-23")(select)


def train(day: DayText = "", profile: Profile = "", as_json: Json = False) -> None:
    """Trains the night's challenger head from its dataset; without one, from all that there is."""
    from streetvision_core.learning.assemble import challenger_folder
    from streetvision_core.learning.train import default_candidates, save_head
    from streetvision_core.learning.train import train as fit
    from streetvision_core.settings import load_settings
    from streetvision_core.training.heads import progress_bar

    settings = load_settings(profile or None)
    dataset = open_dataset(settings, day)
    with progress_bar("training heads") as progress:
        trained = fit(dataset, default_candidates(settings.training), settings.seed, settings.training, progress)
    save_head(trained, challenger_folder(_night(settings, day)))
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


def evaluate(
    streets: Annotated[
        Path | None, typer.Option(help="A folder with labels.csv: cross-validated on its photos.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Also write the result here, as JSON.")] = None,
    profile: Profile = "",
    as_json: Json = False,
) -> None:
    """How good the cascade is, with intervals.

    Without --streets: the serving version on TEST rows, under both exit policies. With it: the whole recipe, trained
    again in each fold, group-disjoint, on every labelled photo of the folder, natively and in each challenge era.
    """
    from streetvision_core.cli._evaluation import evaluation_text
    from streetvision_core.settings import load_settings
    from streetvision_core.storage import atomic_write_json

    settings = load_settings(profile or None)
    result = _of_version(settings) if streets is None else _of_recipe(settings, streets)
    if out is not None:
        atomic_write_json(out, result)
    if as_json:
        emit(result)
    else:
        stdout.print(evaluation_text(result), markup=False, soft_wrap=True)


def open_dataset(settings: Settings, day: str) -> Dataset:
    """The dataset that the night of a day has built; where it built none, one of all sources, made now."""
    from streetvision_core.learning.assemble import find_dataset

    return find_dataset(settings, _night(settings, day))


def _night(settings: Settings, day: str) -> Path:
    from streetvision_core.loop.workspace import Workspace, parse_day

    return Workspace.of(settings).day_folder(parse_day(day))


def _of_version(settings: Settings) -> dict[str, Any]:
    """The serving version under each exit policy."""
    from streetvision_core.cli._first import first_version
    from streetvision_core.learning.evaluate import evaluate as measure
    from streetvision_core.learning.evaluate import stage_seconds
    from streetvision_core.learning.versions import load_version, serving_version
    from streetvision_core.mining.querylog import QueryLog
    from streetvision_core.registry.versions import open_registry
    from streetvision_core.types import Split

    registry = open_registry(settings)
    first_version(settings, registry)
    version = load_version(serving_version(registry), settings)
    test = open_dataset(settings, "").in_split(Split.TEST)
    with QueryLog(settings.paths.resolve("data") / "queries") as log:
        seconds = stage_seconds(log.rows()[-_TIMED:])
    return {name: measure(version, test, name, stage_seconds=seconds).to_dict() for name in ("certified", "plan")}


def _of_recipe(settings: Settings, streets: Path) -> dict[str, Any]:
    from streetvision_core.data.observe import Observer
    from streetvision_core.data.starter import load_starter
    from streetvision_core.learning.recipe import evaluate_recipe
    from streetvision_core.learning.sources import pack_fits, photo_rows, starter_rows

    observer, pack = Observer.of(settings), load_starter()
    photos = photo_rows(streets, observer)
    composed = starter_rows(pack, observer).rendered if pack_fits(settings, pack) else photos.select([])
    return evaluate_recipe(photos, composed, observer.models.seen_groups, settings)


def select(day: DayText = "", profile: Profile = "", as_json: Json = False) -> None:
    """Chooses the hardest queries of a night, or of a past day, and puts them before the reviewer."""
    from streetvision_core.cli._night import open_night

    with open_night(profile, day) as night:
        mined = night.select()
    summary = {"mined": len(mined.rows), "reasons": mined.chosen.reason_counts(), "modes": mined.mode_counts}
    if as_json:
        emit(summary)
        return
    say(f"{summary['mined']} frames wait for review: {summary['reasons']}; run: streetvision review")
