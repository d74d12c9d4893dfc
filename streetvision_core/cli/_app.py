"""The application: its commands, and the one place where a named error becomes an exit code."""

from __future__ import annotations

import logging
import sys
from typing import Annotated

import typer

from streetvision_core import __version__
from streetvision_core.cli import (
    _calibrate,
    _config,
    _decide,
    _engine,
    _install,
    _learning,
    _log,
    _loop,
    _memory,
    _migrate,
    _miner,
    _models,
    _predict,
    _review,
    _serving,
    _versions,
    _video,
    _workspace,
)
from streetvision_core.cli._output import INTERRUPTED, NAMED_ERROR, configure_logs, emit, explain, say, take_any_text
from streetvision_core.cli._place import WorkspaceOption, give_workspaces
from streetvision_core.errors import StreetVisionError

LONG_RUNNING = ("daily", "weekly", "serve", "mine")
"""Commands that log their progress unasked, for those who read the log of a night."""

app = typer.Typer(
    name="streetvision",
    help="Tells whether a street image shows road work, and gets better every day.",
    epilog="Examples:  streetvision predict photos/   ·   streetvision daily --demo   ·   streetvision doctor",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
for room in (
    _predict,
    _video,
    _learning,
    _calibrate,
    _engine,
    _review,
    _loop,
    _serving,
    _miner,
    _models,
    _memory,
    _migrate,
    _versions,
    _decide,
    _log,
    _install,
    _config,
    _workspace,
):
    room.register(app)
give_workspaces(app)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _root(
    context: typer.Context,
    workspace: WorkspaceOption = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log what happens, on stderr.")] = False,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    quiet = logging.INFO if context.invoked_subcommand in LONG_RUNNING else logging.WARNING
    configure_logs(logging.DEBUG if verbose else quiet)


def main() -> None:
    """Entry point of the console script."""
    take_any_text()
    try:
        app()
    except StreetVisionError as error:
        if "--json" in sys.argv:
            emit(error.to_dict())
        explain(error)
        sys.exit(NAMED_ERROR)
    except KeyboardInterrupt:
        say("interrupted")
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
