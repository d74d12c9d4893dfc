"""`streetvision predict`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from streetvision_core.cli import _video
from streetvision_core.cli._output import NAMED_ERROR, OK, PARTLY, emit, say, stderr, stdout

_BATCH = 8


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(
        epilog="Examples:  streetvision predict photos/ --json > answers.json   ·   streetvision predict a.jpg b.mp4"
    )(predict)


def predict(
    paths: Annotated[list[Path], typer.Argument(help="Images and videos, or folders of them.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
    evidence: Annotated[
        bool, typer.Option("--boxes", help="With --json: scores, boxes and text of each stage.")
    ] = False,
    policy: Annotated[str, typer.Option(help="Exit policy: certified or plan; empty takes the settings'.")] = "",
    profile: Annotated[str, typer.Option(help="Settings profile; empty takes SV_PROFILE or embedded.")] = "",
) -> None:
    """Says for each image whether it shows road work, and how sure it is; for a video also when.

    Files that cannot be read are reported one by one and do not stop the others; the exit code is then 3.
    """
    from streetvision_core.cli._first import first_version
    from streetvision_core.learning.versions import load_cascade
    from streetvision_core.models.factory import load_models
    from streetvision_core.registry.versions import open_registry
    from streetvision_core.settings import load_settings

    files, videos = _collect(paths)
    settings = load_settings(profile or None)
    registry = open_registry(settings)
    first_version(settings, registry)
    cascade = load_cascade(registry, settings, load_models(settings), policy or None)
    answers: list[dict[str, Any]] = []
    watched: list[dict[str, Any]] = []
    errors: list[dict[str, Any]] = []
    from rich.progress import Progress

    with Progress(console=stderr, transient=True, disable=len(files) < _BATCH) as bar:
        task = bar.add_task("classifying", total=len(files))
        for start in range(0, len(files), _BATCH):
            batch = files[start : start + _BATCH]
            _answer(batch, cascade, answers, errors, evidence)
            bar.advance(task, len(batch))
    for path in videos:
        _video.watch(path, settings, cascade, watched, errors, evidence)
    _report(answers, watched, errors, as_json, cascade.version)
    raise typer.Exit(NAMED_ERROR if not answers and not watched else PARTLY if errors else OK)


def _collect(paths: list[Path]) -> tuple[list[Path], list[Path]]:
    """Image files and video files."""
    from streetvision_core.images.folders import find

    found = [one for one in find(paths) if not one.reason]
    videos = [one.path for one in found if one.kind is not None and one.kind.media == "video"]
    return [one.path for one in found if one.path not in set(videos)], videos


def _answer(
    batch: list[Path], cascade: Any, answers: list[dict[str, Any]], errors: list[dict[str, Any]], evidence: bool
) -> None:
    from streetvision_core.errors import ImageError
    from streetvision_core.images.decode import read_image

    frames = []
    for path in batch:
        try:
            frames.append((path, read_image(path)))
        except ImageError as error:
            errors.append({"path": str(path), **error.to_dict()})
            say((str(path), "yellow"), f": {type(error).__name__}: {error.got}; {error.action}")
    if not frames:
        return
    for (path, frame), verdict in zip(frames, cascade.predict([f for _, f in frames]), strict=True):
        answer = verdict.to_dict()
        if not evidence:
            answer.pop("evidence")
        answers.append({"path": str(path), "width": frame.width, "height": frame.height, **answer})


def _report(
    answers: list[dict[str, Any]],
    watched: list[dict[str, Any]],
    errors: list[dict[str, Any]],
    as_json: bool,
    version: str,
) -> None:
    if as_json:
        emit({"model_version": version, "results": answers, "videos": watched, "errors": errors})
        return
    if answers or not watched:
        _table(answers, version)
    for answer in watched:
        _video.show(answer)
    if errors:
        say(f"{len(errors)} files could not be read; see above")


def _table(answers: list[dict[str, Any]], version: str) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=f"{len(answers)} images, model {version}", title_justify="left")
    for name, justify in (("image", "left"), ("road work", "left"), ("p", "right"), ("stage", "left"), ("ms", "right")):
        table.add_column(name, justify=justify, overflow="fold")  # type: ignore[arg-type]
    for answer in answers:
        said = "[bold dark_orange]yes[/]" if answer["roadwork"] else "no"
        p, ms = f"{answer['p_roadwork']:.3f}", f"{answer['seconds'] * 1000:.0f}"
        table.add_row(escape(answer["path"]), said, p, answer["exit_stage"], ms)
    stdout.print(table)
