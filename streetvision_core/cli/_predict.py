"""`streetvision predict`."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streetvision_core.cli._answering import Run
from streetvision_core.cli._inputs import Inputs
from streetvision_core.cli._progress import waiting_for
from streetvision_core.cli._rows import Csv, Json, Lines, Sink

if TYPE_CHECKING:
    from streetvision_core.cascade.engine import Cascade
    from streetvision_core.settings import Settings


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(
        epilog="Examples:  streetvision predict photos/   ·   streetvision predict photos/ --json > answers.json   ·   "
        "streetvision predict a.jpg drive.mp4 list.csv --csv   ·   streetvision predict photos/ --save-annotated seen/"
        "\n\nExit codes:  0 everything was answered   ·   1 nothing could be answered, or a named error   ·   2 wrong "
        "usage   ·   3 some files could not be read   ·   130 interrupted; what was answered is printed"
    )(predict)


def predict(
    paths: Annotated[list[Path], typer.Argument(help="Pictures, videos, folders of them, or a CSV that lists them.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="One CSV row a file on stdout.")] = False,
    evidence: Annotated[
        bool, typer.Option("--boxes", help="With --json: scores, boxes and text of each stage.")
    ] = False,
    threshold: Annotated[float, typer.Option(min=0.0, max=1.0, help="Road work from this probability on.")] = 0.5,
    save_annotated: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Copies of the pictures with boxes and answer go there."),
    ] = None,
    policy: Annotated[str, typer.Option(help="Exit policy: certified or plan; empty takes the settings'.")] = "",
    profile: Annotated[str, typer.Option(help="Settings profile; empty takes SV_PROFILE or embedded.")] = "",
) -> None:
    """Says for each picture whether it shows road work, and how sure it is; for a video also when.

    What a file holds decides, not its name. Files that cannot be read are reported one by one, and the others go on.
    """
    if as_json and as_csv:
        raise typer.BadParameter("--json and --csv both write to stdout: choose one")
    if save_annotated is not None and save_annotated.resolve() in [path.resolve() for path in paths]:
        raise typer.BadParameter("--save-annotated: name another folder than the one with the photos")
    from streetvision_core.settings import load_settings

    warnings.filterwarnings("ignore", module="PIL")  # odd metadata, which decides nothing
    inputs, settings = Inputs(paths, save_annotated), load_settings(profile or None)
    with waiting_for(f"loading the models of profile {settings.profile}"):
        cascade = _load(settings, policy)
    head = {"model_version": cascade.version, "threshold": threshold}
    make: Callable[[], Sink] = Csv if as_csv else (lambda: Json(head)) if as_json else Lines
    raise typer.Exit(Run(cascade, settings, make, threshold, evidence, save_annotated).all(inputs))


def _load(settings: Settings, policy: str) -> Cascade:
    """The version that serves; what trains is imported only where there is no version yet."""
    from streetvision_core.cascade.engine import Cascade
    from streetvision_core.cascade.policy import get_policy
    from streetvision_core.cli._first import first_version
    from streetvision_core.models.factory import load_models
    from streetvision_core.registry.versions import open_registry

    if policy:
        get_policy(policy)
        settings = settings.model_copy(update={"cascade": settings.cascade.model_copy(update={"policy": policy})})
    registry = open_registry(settings)
    first_version(settings, registry)
    version = registry.serving()
    assert version is not None, "the line above makes one"
    version.check()
    return Cascade.from_version(version.folder, settings, load_models(settings, ocr_when_needed=True))
