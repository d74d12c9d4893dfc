"""`streetvision calibrate`: on photographs of one's own, or again for what the profile runs now."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streetvision_core.cli._learning import Json, Profile
from streetvision_core.cli._output import OK, PARTLY, emit, say, stderr, stdout

if TYPE_CHECKING:
    from streetvision_core.cascade.calibration import CascadeCalibration
    from streetvision_core.data.table import FeatureTable
    from streetvision_core.learning.own_photos import PhotoCalibration
    from streetvision_core.learning.photo_quality import Quality
    from streetvision_core.models.head import Head
    from streetvision_core.registry.versions import ModelVersion, Registry
    from streetvision_core.settings import Settings

OWN = "calibrated on our own photographs"
AGAIN = "calibrated again for what runs now"
"""Reasons in the history, unless a person gives a better one."""


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(
        epilog="Examples:  streetvision calibrate my-street/   ·   streetvision calibrate labels.csv --json   ·   "
        "streetvision calibrate"
    )(calibrate)


def calibrate(
    dataset: Annotated[
        Path | None,
        typer.Argument(
            exists=True,
            help="A folder with subfolders roadwork/ and none/, or a CSV with the columns path, label and perhaps "
            "group. Empty: the photographs that came with StreetVision and those of learning.photos.",
        ),
    ] = None,
    version: Annotated[str, typer.Option(help="Whose head; empty takes the version that serves.")] = "",
    profile: Profile = "",
    as_json: Json = False,
) -> None:
    """Calibrates a version on labelled photographs of your own and registers the result; the head stays as it is.

    Shows threshold, errors and reliability before and after, with 95 % intervals over independent groups (a subfolder
    or the column group: one drive, one place). The new version serves only once you say so, with the command printed
    at the end. Without DATASET a version is calibrated again for the detectors, rule and prevalence in force now.

    Exit code 1: nothing was registered, for example because there are too few photographs. 3: registered, but some
    files were left out: they cannot be read, or they trained the head.
    """
    from streetvision_core.registry.versions import open_registry
    from streetvision_core.settings import load_settings

    settings = load_settings(profile or None)
    registry = open_registry(settings)
    chosen = _version(registry, version)
    if dataset is None:
        _again(registry, chosen, settings, as_json)
        return
    raise typer.Exit(_on_photographs(registry, chosen, settings, dataset, as_json))


def _version(registry: Registry, name: str) -> ModelVersion:
    from streetvision_core.errors import RegistryError

    if name:
        return registry.get(name)
    champion = registry.champion()
    if champion is None:
        raise RegistryError(
            got="no version that serves",
            allowed="a workspace with a version, or --version NAME",
            action="make the first one: streetvision daily --demo, or streetvision serve",
        )
    return champion


def _on_photographs(registry: Registry, version: ModelVersion, settings: Settings, dataset: Path, as_json: bool) -> int:
    from rich.progress import Progress

    from streetvision_core.data.observe import Observer
    from streetvision_core.learning.assemble import taught_images
    from streetvision_core.learning.own_photos import (
        calibrate_on_photographs,
        leave_out_taught,
        observe_photographs,
        read_photographs,
    )

    observer = Observer.of(settings)
    head, calibration = _load(version, settings)
    calibration.check_serving(observer.detectors)
    images = read_photographs(dataset)
    with Progress(console=stderr, transient=True) as bar:
        task = bar.add_task("looking at the photographs", total=len(images))
        table, unreadable = observe_photographs(
            images,
            observer,
            settings.mining.near_duplicate_cosine,
            lambda done, _: bar.update(task, completed=done),
        )
    table = leave_out_taught(table, taught_images(settings), unreadable)
    result = calibrate_on_photographs(head, calibration, table, settings)
    card = {
        "calibrated_from": version.name,
        "learned_from": f"the head of {version.name}, calibrated on {len(table)} photographs of {dataset}",
        "calibration": {k: v for k, v in result.to_dict().items() if k != "exits"},
    }
    new = _register(registry, head, result.calibration, table, settings, card)
    told = result.to_dict() | {"version": new.name, "from": version.name, "left_out": unreadable}
    if as_json:
        emit({**told, "into_service": _command(new, OWN)})
    else:
        _print(result, version.name, unreadable)
        _print_next(new, OWN)
    return PARTLY if unreadable else OK


def _again(registry: Registry, version: ModelVersion, settings: Settings, as_json: bool) -> None:
    from streetvision_core.data.observe import Observer
    from streetvision_core.learning.assemble import photograph_rows
    from streetvision_core.learning.calibrate import calibrate as fit
    from streetvision_core.types import Split

    head, before = _load(version, settings)
    dataset = photograph_rows(settings, Observer.of(settings))
    after = fit(dataset, head, settings)
    card = {
        "calibrated_from": version.name,
        "learned_from": f"the head of {version.name}, calibrated on {after.made_with.rows} photographs",
    }
    rows = dataset.in_split(Split.CALIBRATE).table
    new = _register(registry, head, after, rows, settings, card)
    if as_json:
        thresholds = {"before": round(before.threshold, 4), "after": round(after.threshold, 4)}
        made = after.made_with.to_dict()
        emit({"version": new.name, "from": version.name, "threshold": thresholds, "made_with": made,
              "absent": dict(after.absent), "into_service": _command(new, AGAIN)})  # fmt: skip
        return
    made_with = after.made_with
    say(f"calibrated on {made_with.rows} photographs of {made_with.groups} groups, for {_names(made_with.detectors)}; "
        f"threshold {before.threshold:.3f} before, {after.threshold:.3f} now")  # fmt: skip
    for stage, reason in after.absent.items():
        say((stage, "bold"), f" is left out: {reason}")
    _print_next(new, AGAIN)


def _load(version: ModelVersion, settings: Settings) -> tuple[Head, CascadeCalibration]:
    from streetvision_core.cascade.calibration import CascadeCalibration
    from streetvision_core.models.head import Head

    models = settings.models
    head = Head.load(version.folder, backbone=models.backbone, preprocessing=models.preprocessing)
    return head, CascadeCalibration.load(version.folder)


def _register(
    registry: Registry,
    head: Head,
    calibration: CascadeCalibration,
    rows: FeatureTable,
    settings: Settings,
    card: dict[str, Any],
) -> ModelVersion:
    from streetvision_core.cascade.engine import predict_table
    from streetvision_core.scoring.shares import REFERENCE_CARD, shares_of

    spread = shares_of(predict_table(rows, head, calibration, settings.cascade.policy).p)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        head.save(folder)
        calibration.save(folder)
        return registry.create(folder, {"profile": settings.profile, REFERENCE_CARD: list(spread), **card})


def _command(version: ModelVersion, reason: str) -> str:
    return f'streetvision versions approve {version.name} --override "{reason}"'


def _print_next(version: ModelVersion, reason: str) -> None:
    say((version.name, "bold"), " is registered and does not serve; to put it into service:")
    say(f"  {_command(version, reason)}")


def _print(result: PhotoCalibration, name: str, unreadable: list[str]) -> None:
    from rich.table import Table

    table = Table(title=f"{name} on {result.photographs} photographs", title_justify="left")
    for heading in ("", "before", "after"):
        table.add_column(heading)
    parts = (result.before, result.after)
    table.add_row("threshold, moved to 0.5", *(f"{one.threshold:.3f}" for one in parts))
    rows = {"MCC": "mcc", "recall": "recall", "false positive rate": "false_positive_rate", "log-loss": "log_loss"}
    for label, field in rows.items():
        table.add_row(label, *(str(getattr(one, field)) for one in parts))
    for i in range(max(len(one.bins) for one in parts)):
        table.add_row("said: shows road work" if not i else "", *(_bin(one, i) for one in parts))
    stdout.print(table)
    say("after: each photograph answered by a calibration made from other groups; brackets: 95 % over groups")
    for line in (*result.warnings, *(f"left out: {what}" for what in unreadable)):
        say((line, "yellow"))


def _bin(quality: Quality, i: int) -> str:
    if i >= len(quality.bins):
        return ""
    one = quality.bins[i]
    return f"{one.predicted:.2f}: {one.observed:.2f} [{one.low:.2f}, {one.high:.2f}] of {one.n}"


def _names(detectors: tuple[str, ...] | None) -> str:
    return ", ".join(detectors or ()) or "no detector"
