"""`streetvision versions list`, `show`, `compare`, `served-at`, `history`, `export`, `import`: looks and carries."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from streetvision_core.cli._learning import Json, Profile
from streetvision_core.cli._output import NAMED_ERROR, OK, PARTLY, emit, say
from streetvision_core.cli._versions_app import (
    By,
    Version,
    cell_of,
    clean,
    open_versions,
    person_of,
    print_events,
    print_table,
    versions,
)


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.add_typer(versions, name="versions")
    app.command(epilog="Example:  streetvision history", deprecated=True)(history)


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
    print_table(("version", "state", "made, UTC", "note"), rows)
    for line in view.notices:
        say(line)


@versions.command("show", epilog="Example:  streetvision versions show champion")
def show_version(version: Version, profile: Profile = "", as_json: Json = False) -> None:
    """One version: what it is made of, whether its files are whole, what the history says of it.

    Exit code 1 if a file is damaged.
    """
    from streetvision_core.registry.overview import details

    registry = open_versions(profile)
    found = details(registry, version)
    if as_json:
        emit(found)
    else:
        facts = [(key, cell_of(value)) for key, value in found.items() if key not in ("card", "files", "events")]
        facts += [(f"card: {key}", cell_of(value)) for key, value in found["card"].items()]
        facts += [(f"file: {name}", f"{size:,} bytes") for name, size in found["files"].items()]
        print_table(("what", "found"), facts)
        print_events([e for e in registry.history() if e.version == found["name"]])
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

    registry = open_versions(profile)
    found = differences(registry, first, second)
    decision = _measure(profile, found["versions"]) if measure else found["decision"]
    if as_json:
        emit({**found, "decision": decision})
        return
    names = found["versions"]
    print_table(("what", *names), [(row["what"], *(cell_of(v) for v in row["values"])) for row in found["rows"]])
    if decision is None:
        say("the gate has not compared these two; add --measure to let both answer today's TEST rows")
    for reason in decision["reasons"] if decision else ():
        say(clean(reason))


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
    served = open_versions(profile).served_at(moment)
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
        say(f"{served.event.action} by {clean(served.event.by)}: {clean(served.event.reason)}")
    raise typer.Exit(OK if served else PARTLY)


@versions.command("history", epilog="Example:  streetvision versions history --json")
def show_history(profile: Profile = "", as_json: Json = False) -> None:
    """What happened to which version, when, by whom and why, oldest first."""
    registry = open_versions(profile)
    events = registry.history()
    if as_json:
        emit([event.to_dict() for event in events])
    elif not events:
        say("no version has served yet; run: streetvision daily --demo")
    else:
        print_events(events)


@versions.command("export", epilog="Example:  streetvision versions export champion champion.zip")
def export(
    version: Version,
    path: Annotated[Path, typer.Argument(help="A new zip file, or a folder for one named after the version.")],
    profile: Profile = "",
    as_json: Json = False,
) -> None:
    """Writes a version, checked, into one zip file."""
    from streetvision_core.registry.archive import export_version

    done = export_version(open_versions(profile), version, path)
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

    got = import_version(open_versions(profile), path, person_of(by))
    if as_json:
        emit({"version": got.name, "digest": got.digest, "created_at": got.created_at.isoformat()})
    else:
        say(f"{got.name} is registered; it serves once the gate or a person puts it into service:")
        say(f'  streetvision versions approve {got.name} --override "…"')


def history(profile: Profile = "", as_json: Json = False) -> None:
    """Is now `streetvision versions history`."""
    say("`streetvision history` is now `streetvision versions history`")
    show_history(profile, as_json)
