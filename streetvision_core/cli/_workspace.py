"""`streetvision init`, `doctor` and `schedule`: the workspace itself."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from streetvision_core.cli._learning import Json, Profile
from streetvision_core.cli._output import NAMED_ERROR, OK, emit, say, stdout


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command(epilog="Examples:  streetvision init .   ·   streetvision init ~/streets")(init)
    app.command(epilog="Example:  streetvision doctor --json")(doctor)
    app.command(epilog="Example:  streetvision schedule --out /etc/streetvision")(schedule)


def init(
    folder: Annotated[Path, typer.Argument(help="The folder; it is made if it is not there.")],
    as_json: Json = False,
) -> None:
    """Makes a folder a workspace: commands in it and below take it, and the last one used is taken elsewhere."""
    from streetvision_core.workspace import create_workspace, remember_workspace

    made = create_workspace(folder)
    remember_workspace(made)
    if as_json:
        emit({"workspace": str(made.home), "file": str(made.file), "format": made.format, "made": made.found})
    say(made.describe())


def doctor(profile: Profile = "", as_json: Json = False) -> None:
    """Checks the machine, the installation and the workspace, and says what to do."""
    from streetvision_core.ops.doctor import doctor as examine
    from streetvision_core.settings import load_settings

    settings = load_settings(profile or None)
    report = examine(settings)
    if as_json:
        emit({**report.to_dict(), "settings": settings.model_dump(mode="json")})
    else:
        from rich.markup import escape
        from rich.table import Table

        table = Table(show_lines=False)
        for name in ("check", "state", "found", "do"):
            table.add_column(name, overflow="fold")
        colours = {"ok": "green", "warn": "yellow", "fail": "bold red"}
        for check in report.checks:
            state = f"[{colours[check.status]}]{check.status}[/]"
            table.add_row(check.name, state, escape(check.found), escape(check.action) if check.status != "ok" else "")
        stdout.print(table)
    raise typer.Exit(NAMED_ERROR if report.exit_code else OK)


def schedule(
    out: Annotated[Path | None, typer.Option(help="Write the files into this folder; else print them.")] = None,
    profile: Profile = "",
) -> None:
    """The cron line, systemd units and PM2 file that run this workspace every night."""
    from streetvision_core.ops.render import render_schedules, write_schedules
    from streetvision_core.settings import load_settings

    settings = load_settings(profile or None)
    texts = render_schedules(settings.paths.home.resolve(), Path(sys.executable), profile=settings.profile)
    if out is not None:
        for path in write_schedules(out, texts):
            say(f"wrote {path}")
        return
    for name, text in texts.items():
        typer.echo(f"# --- {name}\n{text}")
