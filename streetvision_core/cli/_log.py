"""`streetvision log` and `forget`: what was kept of callers, whether it is sound, and how it goes."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Annotated

import typer

from streetvision_core.cli._learning import Json, Profile
from streetvision_core.cli._output import NAMED_ERROR, OK, emit, say

log_app = typer.Typer(
    help="The query log: counts, checks and prunes it.",
    epilog="Examples:  streetvision log check   ·   streetvision log prune",
    no_args_is_help=True,
)


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.add_typer(log_app, name="log")
    app.command(epilog="Examples:  streetvision forget photo.jpg   ·   streetvision forget 9f86d081884c7d65… --yes")(
        forget
    )


@log_app.command("check", epilog="Example:  streetvision log check --json")
def check(profile: Profile = "", as_json: Json = False) -> None:
    """Reads every row and every image; exit code 1 if something is damaged. Damaged rows are left out everywhere."""
    from streetvision_core.mining.querylog import QueryLog
    from streetvision_core.settings import load_settings

    with QueryLog(load_settings(profile or None).paths.resolve("data") / "queries") as log:
        health, counts = log.check(), log.counts()
    if as_json:
        emit({**health.to_dict(), "queries": counts.queries, "images": counts.images})
    else:
        say(f"{counts.queries} queries, {counts.images} images; database: {health.database}")
        for name in ("bad_rows", "missing", "damaged", "orphans"):
            found = getattr(health, name)
            if found:
                say((name.replace("_", " "), "bold"), f": {len(found)}, the first: {found[0]}")
    raise typer.Exit(OK if health.ok else NAMED_ERROR)


@log_app.command("prune", epilog="Example:  streetvision log prune")
def prune(profile: Profile = "", as_json: Json = False) -> None:
    """Deletes what `retention` no longer keeps, as every night does."""
    from datetime import UTC, datetime

    from streetvision_core.loop.retention import prune_workspace
    from streetvision_core.settings import load_settings

    pruned = prune_workspace(load_settings(profile or None), datetime.now(UTC))
    if as_json:
        emit(pruned.to_dict() if pruned is not None else None)
    elif pruned is None:
        say("there is no query log yet")
    else:
        say(f"{pruned.too_old} queries were too old, {pruned.too_much} too much")
        say(f"{pruned.image_bytes / 2**30:.2f} GiB of photographs, {pruned.free_bytes / 2**30:.1f} GiB free")


def forget(
    images: Annotated[list[str], typer.Argument(help="The photographs' sha256, or their files.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    profile: Profile = "",
    as_json: Json = False,
) -> None:
    """Deletes photographs from log, features, labels, data sets, workbench and reports; cannot be undone.

    Versions that learned from them are named, not retrained.
    """
    from streetvision_core.learning.forget import forget_images
    from streetvision_core.registry.versions import open_registry
    from streetvision_core.settings import load_settings

    settings = load_settings(profile or None)
    digests = [_digest(image) for image in images]
    if not yes:
        _confirm(len(digests))
    done = forget_images(settings, open_registry(settings), digests)
    if as_json:
        emit(done.to_dict())
        return
    say(f"{done.queries} queries, {done.features} feature rows, {done.decisions} decisions, {done.rows} data set rows")
    for what in ("edited", "removed", "left"):
        for one in getattr(done, what):
            say(f"{what:8} {one}")
    if done.versions:
        say(f"learned from them or were measured on them, and are not retrained: {', '.join(done.versions)}")


def _digest(image: str) -> str:
    path = Path(image)
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else image.strip().lower()


def _confirm(number: int) -> None:
    from streetvision_core.errors import SettingsError

    if not sys.stdin.isatty():
        raise SettingsError(
            got=f"{number} photographs to forget and nobody to ask",
            allowed="a terminal, or --yes",
            action="run it again with --yes: streetvision forget HASH --yes",
        )
    typer.confirm(f"Delete {number} photographs and everything about them for good?", abort=True)
