"""Each command works in one workspace: it says which, remembers it, and hands it to every process it starts."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from streetvision_core.cli._output import say
from streetvision_core.workspace import (
    FORMAT,
    HOME_VARIABLE,
    Workspace,
    WorkspaceError,
    create_workspace,
    find_workspace,
    remember_workspace,
)

READ_LABELS: Final = frozenset(
    {"daily", "train", "evaluate", "select", "review", "export_frames", "import_decisions", "undo", "status"}
)
"""Commands (by the name of their function) that would miss the labels of an older workspace; the others serve it as
it is, and say what helps."""
WITHOUT: Final = frozenset({"init", "install", "plan_memory"})
"""Commands (by the name of their function) that read and write no workspace."""
WorkspaceOption = Annotated[
    Path | None,
    typer.Option(
        "--workspace",
        metavar="FOLDER",
        help="Where models, log and reports lie; else SV_PATHS__HOME, the nearest streetvision.yaml, the last used.",
        show_default=False,
    ),
]


def give_workspaces(app: typer.Typer) -> None:
    """Adds `--workspace` to every command, those of groups too, and runs each inside its workspace."""
    for command in app.registered_commands:
        run = command.callback
        if run is not None and run.__name__ not in WITHOUT:
            command.callback = _with_workspace(run)
    for group in app.registered_groups:
        if group.typer_instance is not None:
            give_workspaces(group.typer_instance)


def _with_workspace(run: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(run)
    def inside(*args: Any, typer_context: typer.Context, workspace: Path | None = None, **options: Any) -> Any:
        if options.get("supervised"):  # a child: settings, workspace included, come from its parent
            return run(*args, **options)
        named = workspace or typer_context.find_root().params.get("workspace")
        found = find_workspace(named)
        with working_in(found):
            if run.__name__ != "migrate":
                _check_format(found, run.__name__)
            return run(*args, **options)

    signature, only = inspect.signature(run, eval_str=True), inspect.Parameter.KEYWORD_ONLY
    added = [
        inspect.Parameter("typer_context", only, annotation=typer.Context),
        inspect.Parameter("workspace", only, default=None, annotation=WorkspaceOption),
    ]
    inside.__signature__ = signature.replace(parameters=[*signature.parameters.values(), *added])  # type: ignore[attr-defined]
    return inside


def _check_format(workspace: Workspace, command: str) -> None:
    """Refuses what would miss labels, and says to everything else that the workspace is older.

    Raises:
        WorkspaceError: the command reads labels, and they lie as an earlier StreetVision kept them.
    """
    if workspace.format == FORMAT:
        return
    if command in READ_LABELS:
        raise WorkspaceError(
            got=f"{workspace.home} of format {workspace.format}, whose labels this StreetVision would miss",
            allowed=f"format {FORMAT}",
            action="run: streetvision migrate (it makes a backup first and removes nothing)",
            path=str(workspace.home),
        )
    say((f"workspace of format {workspace.format}; its labels wait for: streetvision migrate", "yellow"))


@contextmanager
def working_in(workspace: Workspace) -> Iterator[None]:
    """Says which workspace it is, makes the user's own at its first use, and names it to all child processes."""
    named = HOME_VARIABLE in os.environ
    if not workspace.home.is_dir() and not named:
        workspace = create_workspace(workspace.home)
        say(f"{workspace.describe()}; streetvision init FOLDER makes one elsewhere")
    else:
        say(workspace.describe())
    remember_workspace(workspace)
    before = os.environ.get(HOME_VARIABLE)
    os.environ[HOME_VARIABLE] = str(workspace.home)
    try:
        yield
    finally:
        if before is None:
            del os.environ[HOME_VARIABLE]
        else:
            os.environ[HOME_VARIABLE] = before
