"""What the commands of `streetvision versions` share: the application, its words and its tables."""

from __future__ import annotations

import getpass
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streetvision_core.cli._output import emit, say, stdout

if TYPE_CHECKING:
    from streetvision_core.registry.events import Event
    from streetvision_core.registry.versions import Registry

By = Annotated[str, typer.Option(help="Who decides; empty takes the account that runs this.")]
Reason = Annotated[str, typer.Option(help="Why, in at least three words; it stands in the history.")]
Version = Annotated[str, typer.Argument(help="A version, its number such as v0003, `champion` or `challenger`.")]

versions = typer.Typer(
    help="Lists versions and decides which of them serves; every decision stands in the history.",
    epilog="Examples:  streetvision versions list   ·   streetvision versions approve   ·   "
    'streetvision versions rollback --reason "worse on the new camera"',
    no_args_is_help=True,
)


def open_versions(profile: str) -> Registry:
    """The registry of the workspace."""
    from streetvision_core.registry.versions import open_registry
    from streetvision_core.settings import load_settings

    return open_registry(load_settings(profile or None))


def person_of(by: str) -> str:
    """Who decides: the name given, else the account that runs the command."""
    return by or getpass.getuser()


def report(registry: Registry, event: Event, sentence: str, as_json: bool) -> None:
    """What was done, and what else decides over it."""
    from streetvision_core.registry.overview import notices

    if as_json:
        emit(event.to_dict())
        return
    say((sentence, "bold"), f"  ({event.action} by {clean(event.by)})")
    for line in notices(registry):
        say(line)


def print_events(events: Sequence[Event]) -> None:
    """A table of the history."""
    from streetvision_core.registry.overview import short_reason

    rows = [
        (f"{e.time:%Y-%m-%d %H:%M}", e.action, e.version, f"{clean(e.by)}: {clean(short_reason(e))}") for e in events
    ]
    print_table(("when, UTC", "what", "version", "by, why"), rows)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table on stdout, as wide as the terminal, 80 columns into a pipe."""
    from rich.table import Table
    from rich.text import Text

    table = Table(show_edge=False)
    for name in columns:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(Text(clean(cell)) for cell in row))
    stdout.print(table)


def cell_of(value: Any) -> str:
    """A fact of a card as a table shows it."""
    return str(value) if isinstance(value, str | int | bool) else f"{value:g}" if isinstance(value, float) else "…"


def clean(text: str) -> str:
    """Without the control characters that a reason or a card from elsewhere may hold."""
    return "".join(c if c.isprintable() else " " for c in text)
