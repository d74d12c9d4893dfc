"""`streetvision install`."""

from __future__ import annotations

from typing import Annotated

import typer

from streetvision_core.cli._output import NAMED_ERROR, OK


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(epilog="Examples:  streetvision install video   ·   streetvision install gpu ops --dry-run")(install)


def install(
    extras: Annotated[list[str] | None, typer.Argument(help="Extras; none installs the default set.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be installed.")] = False,
) -> None:
    """Installs what an extra needs into this environment, at the pinned versions and without a second OpenCV."""
    from streetvision_core.ops.install import install as run_installer

    raise typer.Exit(NAMED_ERROR if run_installer(extras or [], dry_run=dry_run) else OK)
