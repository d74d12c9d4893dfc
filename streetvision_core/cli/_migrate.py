"""`streetvision migrate`: an older workspace in today's format, nothing lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from streetvision_core.cli._learning import Json, Profile
from streetvision_core.cli._output import emit, say

if TYPE_CHECKING:
    from streetvision_core.ops.migrate import Migrated, Plan


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(
        epilog="Examples:  streetvision migrate --dry-run   ·   streetvision migrate   ·   "
        "streetvision migrate --remove-old --yes"
    )(migrate)


def migrate(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done; write nothing.")] = False,
    remove_old: Annotated[
        bool, typer.Option("--remove-old", help="Then also remove the sheets nothing reads any more; only lists them.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="With --remove-old: really remove them.")] = False,
    profile: Profile = "",
    as_json: Json = False,
) -> None:
    """Moves an older workspace to today's format: a backup first, then every label into the label store.

    Versions, their history, the query log and keys stay as they are. Nothing is removed unless you say --remove-old
    --yes. Safe to repeat, and to start again after a kill.
    """
    from streetvision_core.loop.lock import loop_lock
    from streetvision_core.ops.migrate import migrate_workspace, plan_migration, remove_superseded
    from streetvision_core.settings import load_settings
    from streetvision_core.workspace import find_workspace

    settings, workspace = load_settings(profile or None), find_workspace()
    if dry_run:
        plan = plan_migration(workspace, settings)
        if as_json:
            emit(plan.to_dict())
        else:
            _print_plan(plan, "would be")
            _print_superseded(plan)
        return
    with loop_lock(settings.paths.resolve("data") / "loop.lock", "migrate"):
        done = migrate_workspace(workspace, settings)
        if remove_old and yes:
            done = remove_superseded(done, settings)
    if as_json:
        emit(done.to_dict())
        return
    _print_done(done)
    if remove_old and not yes:
        _print_superseded(done.plan)


def _print_plan(plan: Plan, verb: str) -> None:
    people = ", ".join(f"{n} of {who}" for who, n in plan.people.items()) or "none of a person"
    others = ", ".join(f"{n} of the {source}" for source, n in plan.decisions.items() if source != "person")
    say(f"{sum(plan.decisions.values())} decisions of {len(plan.days)} days {verb} recorded: {people}"
        f"{'; ' + others if others else ''}")  # fmt: skip
    if plan.unknown:
        say((f"{plan.unknown} of them are about images that are not in the query log; they are kept apart", "yellow"))


def _print_done(done: Migrated) -> None:
    if done.backup is None:
        say("this workspace has today's format; nothing to do")
    else:
        say(f"backup: {done.backup} ({done.backup_bytes / 1e6:,.1f} MB)")
        _print_plan(done.plan, "were read and")
        say(f"{done.recorded} were new to the label store; all of them were found in it again")
        say(("the workspace has format 2 now", "bold"))
    for path in done.removed:
        say(f"removed {path}")


def _print_superseded(plan: Plan) -> None:
    for path in plan.superseded:
        say(f"would be removed by --remove-old --yes: {path}")
    if not plan.superseded:
        say("no file is superseded")
