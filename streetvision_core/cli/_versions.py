"""`streetvision versions`: what is registered, what serves, what waits, and who decided so."""

from __future__ import annotations

import getpass
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streetvision_core.cli._learning import Json, Profile
from streetvision_core.cli._output import NAMED_ERROR, OK, PARTLY, emit, say, stdout

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


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.add_typer(versions, name="versions")
    app.command(epilog="Example:  streetvision history", deprecated=True)(history)
    app.command(epilog='Example:  streetvision rollback --by anna --reason "worse on the new camera"', deprecated=True)(
        rollback
    )


@versions.command("list", epilog="Example:  streetvision versions list --json")
def list_versions(profile: Profile = "", as_json: Json = False) -> None:
    """Every version, newest first: what serves, what waits, and whether it is time for a younger one."""
    from datetime import UTC, datetime

    from streetvision_core.registry.age import age_notice
    from streetvision_core.registry.overview import overview
    from streetvision_core.registry.versions import open_registry
    from streetvision_core.settings import load_settings

    settings = load_settings(profile or None)
    registry = open_registry(settings)
    view = overview(registry, age_notice(registry, datetime.now(UTC), settings.gate.max_age_days))
    if as_json:
        emit(view.to_dict())
        return
    if not view.rows:
        say("no version yet; run: streetvision daily --demo")
        return
    rows = [(row.name, row.state, f"{row.created_at:%Y-%m-%d}", row.note) for row in view.rows]
    _print_table(("version", "state", "made, UTC", "note"), rows)
    for line in view.notices:
        say(line)


@versions.command("show", epilog="Example:  streetvision versions show champion")
def show_version(version: Version, profile: Profile = "", as_json: Json = False) -> None:
    """One version: what it is made of, whether its files are whole, what the history says of it.

    Exit code 1 if a file is damaged.
    """
    from streetvision_core.registry.overview import details

    registry = _registry(profile)
    found = details(registry, version)
    if as_json:
        emit(found)
    else:
        facts = [(key, _text(value)) for key, value in found.items() if key not in ("card", "files", "events")]
        facts += [(f"card: {key}", _text(value)) for key, value in found["card"].items()]
        facts += [(f"file: {name}", f"{size:,} bytes") for name, size in found["files"].items()]
        _print_table(("what", "found"), facts)
        _print_events([e for e in registry.history() if e.version == found["name"]])
    raise typer.Exit(NAMED_ERROR if found["damage"] else OK)


@versions.command(
    "compare",
    epilog="Examples:  streetvision versions compare champion challenger   ·   "
    "streetvision versions compare v0003 v0005 --measure",
)
def compare(
    first: Version,
    second: Version,
    measure: Annotated[
        bool, typer.Option("--measure", help="Let both answer today's TEST rows and ask the gate; records nothing.")
    ] = False,
    profile: Profile = "",
    as_json: Json = False,
) -> None:
    """Two versions side by side: how they were made, and what the gate said of the two."""
    from streetvision_core.registry.overview import differences

    registry = _registry(profile)
    found = differences(registry, first, second)
    decision = _measure(profile, found["versions"]) if measure else found["decision"]
    if as_json:
        emit({**found, "decision": decision})
        return
    names = found["versions"]
    _print_table(("what", *names), [(row["what"], *(_text(v) for v in row["values"])) for row in found["rows"]])
    if decision is None:
        say("the gate has not compared these two; add --measure to let both answer today's TEST rows")
    for reason in decision["reasons"] if decision else ():
        say(_clean(reason))


def _measure(profile: str, names: list[str]) -> dict[str, Any]:
    from streetvision_core.cli._learning import open_dataset
    from streetvision_core.learning.compare import compare
    from streetvision_core.learning.versions import first_of_make, load_version
    from streetvision_core.registry.versions import open_registry
    from streetvision_core.settings import load_settings

    settings = load_settings(profile or None)
    registry = open_registry(settings)
    first, second = (load_version(registry.get(name), settings) for name in names)
    guard, dataset = first_of_make(registry, settings), open_dataset(settings, "")
    return compare(first, second, guard, dataset, settings.gate, settings.cascade.policy).decision.to_dict()


@versions.command(
    "approve",
    epilog="Examples:  streetvision versions approve   ·   "
    'streetvision versions approve v0007 --override "the gate has no night photos yet"',
)
def approve(
    version: Annotated[str, typer.Argument(help="Empty: the newest that waits.")] = "",
    override: Annotated[
        str, typer.Option(metavar="REASON", help="Put any version into service, for this reason, without the gate.")
    ] = "",
    by: By = "",
    profile: Profile = "",
    as_json: Json = False,
) -> None:
    """Puts a version that passed the gate into service; with a reason, any version."""
    from streetvision_core.errors import RegistryError
    from streetvision_core.registry.decision import Override

    registry = _registry(profile)
    if override and not version:
        raise RegistryError(
            got="--override without a version",
            allowed="the name of the version it is about",
            action="name one that `streetvision versions list` shows",
        )
    if version:
        _check_fits(registry, version, profile)
    if override:
        event = registry.promote(version, Override(_person(by), override))
    else:
        event = registry.approve(version or None, _person(by))
    _report(registry, event, f"{event.version} is champion", as_json)


@versions.command("hold", epilog='Example:  streetvision versions hold --reason "the camera is being changed"')
def hold(reason: Reason, by: By = "", profile: Profile = "", as_json: Json = False) -> None:
    """Keeps automatic promotion away; the gate goes on deciding, and what passes waits for `approve`."""
    registry = _registry(profile)
    event = registry.hold(_person(by), reason)
    _report(registry, event, f"{event.version} stays champion", as_json)


@versions.command("unhold", epilog="Example:  streetvision versions unhold")
def unhold(
    reason: Annotated[str, typer.Option(help="Why; it stands in the history.")] = "the hold is over",
    by: By = "",
    profile: Profile = "",
    as_json: Json = False,
) -> None:
    """Lets the gate promote again, from the next night on."""
    registry = _registry(profile)
    _report(registry, registry.unhold(_person(by), reason), "the gate promotes again", as_json)


@versions.command(
    "rollback",
    epilog='Examples:  streetvision versions rollback --reason "worse on the new camera"   ·   '
    'streetvision versions rollback --to v0002 --reason "it was the best at night"',
)
def roll_back(
    reason: Reason,
    to: Annotated[str, typer.Option(help="A version that has served; empty takes the one before.")] = "",
    by: By = "",
    profile: Profile = "",
    as_json: Json = False,
) -> None:
    """Makes an earlier champion serve again, and holds automatic promotion until `unhold`."""
    registry = _registry(profile)
    if to:
        _check_fits(registry, to, profile)
    event = registry.rollback(_person(by), reason, to or None)
    _report(registry, event, f"{event.version} is champion again", as_json)


@versions.command("pin", epilog='Example:  streetvision versions pin v0002 --reason "as shown at the fair"')
def pin(version: Version, reason: Reason, by: By = "", profile: Profile = "", as_json: Json = False) -> None:
    """Lets a version serve in the champion's place until `unpin`; running servers follow within seconds."""
    registry = _registry(profile)
    _check_fits(registry, version, profile)
    event = registry.pin(version, _person(by), reason)
    _report(registry, event, f"{event.version} serves", as_json)


@versions.command("unpin", epilog="Example:  streetvision versions unpin")
def unpin(
    reason: Annotated[str, typer.Option(help="Why; it stands in the history.")] = "the pin is over",
    by: By = "",
    profile: Profile = "",
    as_json: Json = False,
) -> None:
    """Lets the champion serve again."""
    registry = _registry(profile)
    event = registry.unpin(_person(by), reason)
    _report(registry, event, f"{event.version} serves", as_json)


@versions.command(
    "served-at",
    epilog="Examples:  streetvision versions served-at 2026-11-23   ·   "
    "streetvision versions served-at 2026-11-23T14:30+01:00",
)
def served_at(
    time: Annotated[str, typer.Argument(help="Date or time, ISO 8601; without a zone it is UTC.")],
    profile: Profile = "",
    as_json: Json = False,
) -> None:
    """Which version served at a time, and why. Exit code 3 if that was before the first."""
    from streetvision_core.registry.times import parse_time

    moment = parse_time(time)
    served = _registry(profile).served_at(moment)
    if as_json:
        emit(
            served
            and {
                "version": served.version,
                "since": served.since.isoformat(),
                "until": served.until and served.until.isoformat(),
                "event": served.event.to_dict(),
            }
        )
    elif served is None:
        say(f"no version served at {moment:%Y-%m-%d %H:%M:%S} UTC")
    else:
        until = f"{served.until:%Y-%m-%d %H:%M:%S}" if served.until else "now"
        say((served.version, "bold"), f" served from {served.since:%Y-%m-%d %H:%M:%S} until {until}, UTC")
        say(f"{served.event.action} by {_clean(served.event.by)}: {_clean(served.event.reason)}")
    raise typer.Exit(OK if served else PARTLY)


@versions.command("history", epilog="Example:  streetvision versions history --json")
def show_history(profile: Profile = "", as_json: Json = False) -> None:
    """What happened to which version, when, by whom and why, oldest first."""
    registry = _registry(profile)
    events = registry.history()
    if as_json:
        emit([event.to_dict() for event in events])
    elif not events:
        say("no version has served yet; run: streetvision daily --demo")
    else:
        _print_events(events)


@versions.command("export", epilog="Example:  streetvision versions export champion champion.zip")
def export(
    version: Version,
    path: Annotated[Path, typer.Argument(help="A new zip file, or a folder for one named after the version.")],
    profile: Profile = "",
    as_json: Json = False,
) -> None:
    """Writes a version, checked, into one zip file."""
    from streetvision_core.registry.archive import export_version

    done = export_version(_registry(profile), version, path)
    if as_json:
        emit({"version": done.name, "digest": done.digest, "path": str(path)})
    else:
        say(f"wrote {done.name} to {path}")


@versions.command("import", epilog="Example:  streetvision versions import champion.zip")
def import_file(
    path: Annotated[Path, typer.Argument(help="A zip file that `export` wrote.")],
    by: By = "",
    profile: Profile = "",
    as_json: Json = False,
) -> None:
    """Registers the version of a zip file, checked to the last byte; it serves nothing yet."""
    from streetvision_core.registry.archive import import_version

    got = import_version(_registry(profile), path, _person(by))
    if as_json:
        emit({"version": got.name, "digest": got.digest, "created_at": got.created_at.isoformat()})
    else:
        say(f"{got.name} is registered; it serves once the gate or a person puts it into service:")
        say(f'  streetvision versions approve {got.name} --override "…"')


def history(profile: Profile = "", as_json: Json = False) -> None:
    """Is now `streetvision versions history`."""
    say("`streetvision history` is now `streetvision versions history`")
    show_history(profile, as_json)


def rollback(
    by: Annotated[str, typer.Option(help="Who decides.")],
    reason: Reason,
    to: Annotated[str, typer.Option(help="A version that has served; empty takes the one before.")] = "",
    profile: Profile = "",
) -> None:
    """Is now `streetvision versions rollback`."""
    say("`streetvision rollback` is now `streetvision versions rollback`")
    roll_back(reason, to, by, profile, False)


def _registry(profile: str) -> Registry:
    from streetvision_core.registry.versions import open_registry
    from streetvision_core.settings import load_settings

    return open_registry(load_settings(profile or None))


def _check_fits(registry: Registry, version: str, profile: str) -> None:
    """Refuses what no model server of this profile could load.

    Raises:
        PreprocessMismatchError: the version's head was made with another backbone or preprocessing.
    """
    from streetvision_core.errors import PreprocessMismatchError
    from streetvision_core.settings import load_settings

    models = load_settings(profile or None).models
    found = registry.get(version, check=False)
    made_with = found.made_with
    if made_with is not None and made_with != (models.backbone, models.preprocessing):
        raise PreprocessMismatchError(
            got=f"{found.name}, made with {' '.join(made_with)}",
            allowed=f"a version made with {models.backbone} {models.preprocessing}, as this profile serves",
            action="choose the profile it was made with (--profile, SV_PROFILE), or another version",
        )


def _person(by: str) -> str:
    return by or getpass.getuser()


def _report(registry: Registry, event: Event, sentence: str, as_json: bool) -> None:
    """What was done, and what else decides over it."""
    from streetvision_core.registry.overview import notices

    if as_json:
        emit(event.to_dict())
        return
    say((sentence, "bold"), f"  ({event.action} by {_clean(event.by)})")
    for line in notices(registry):
        say(line)


def _print_events(events: Sequence[Event]) -> None:
    from streetvision_core.registry.overview import short_reason

    rows = [
        (f"{e.time:%Y-%m-%d %H:%M}", e.action, e.version, f"{_clean(e.by)}: {_clean(short_reason(e))}") for e in events
    ]
    _print_table(("when, UTC", "what", "version", "by, why"), rows)


def _print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(show_edge=False)
    for name in columns:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(Text(_clean(cell)) for cell in row))
    stdout.print(table)


def _text(value: Any) -> str:
    return str(value) if isinstance(value, str | int | bool) else f"{value:g}" if isinstance(value, float) else "…"


def _clean(text: str) -> str:
    """Without the control characters that a reason or a card from elsewhere may hold."""
    return "".join(c if c.isprintable() else " " for c in text)
