"""`streetvision predict`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from streetvision_core.cli._output import NAMED_ERROR, OK, PARTLY, emit, say, stderr, stdout

_BATCH = 8


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(
        epilog="Examples:  streetvision predict photos/ --json > answers.json   ·   streetvision predict a.jpg b.png"
    )(predict)


def predict(
    paths: Annotated[list[Path], typer.Argument(help="Images, or folders that are searched for images.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
    evidence: Annotated[
        bool, typer.Option("--boxes", help="With --json: scores, boxes and text of each stage.")
    ] = False,
    policy: Annotated[str, typer.Option(help="Exit policy: certified or plan; empty takes the settings'.")] = "",
    profile: Annotated[str, typer.Option(help="Settings profile; empty takes SV_PROFILE or embedded.")] = "",
) -> None:
    """Says for each image whether it shows road work, and how sure it is.

    Files that cannot be read are reported one by one and do not stop the others; the exit code is then 3.
    """
    from streetvision_core.loop import tasks

    files = _collect(paths)
    cascade = tasks.load_cascade(tasks.open_day(profile), policy=policy or None)
    answers: list[dict[str, Any]] = []
    errors: list[dict[str, Any]] = []
    from rich.progress import Progress

    with Progress(console=stderr, transient=True, disable=len(files) < _BATCH) as bar:
        task = bar.add_task("classifying", total=len(files))
        for start in range(0, len(files), _BATCH):
            batch = files[start : start + _BATCH]
            _answer(batch, cascade, answers, errors, evidence)
            bar.advance(task, len(batch))
    _report(answers, errors, as_json, cascade.version)
    raise typer.Exit(NAMED_ERROR if not answers else PARTLY if errors else OK)


def _collect(paths: list[Path]) -> list[Path]:
    from streetvision_core.images.decode import FOREIGN_SUFFIXES, IMAGE_SUFFIXES, list_images

    wanted = IMAGE_SUFFIXES | FOREIGN_SUFFIXES
    return [file for path in paths for file in (list_images(path, wanted) if path.is_dir() else [path])]


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


def _report(answers: list[dict[str, Any]], errors: list[dict[str, Any]], as_json: bool, version: str) -> None:
    if as_json:
        emit({"model_version": version, "results": answers, "errors": errors})
        return
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
    if errors:
        say(f"{len(errors)} files could not be read; see above")
