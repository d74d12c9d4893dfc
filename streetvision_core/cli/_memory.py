"""`streetvision plan-memory`."""

from __future__ import annotations

from typing import Annotated

import typer

from streetvision_core.cli._learning import Json, Profile
from streetvision_core.cli._output import NAMED_ERROR, OK, emit, say, stdout


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(
        "plan-memory",
        epilog="Examples:  streetvision plan-memory --gpu 24   ·   "
        "streetvision plan-memory --gpu 24 --profile light --miners 3 --json",
    )(plan_memory)


def plan_memory(
    gpu: Annotated[float, typer.Option(help="Memory of the card in GiB.")] = 24.0,
    profile: Profile = "platinum",
    miners: Annotated[int, typer.Option(help="Processes of this profile on the card.")] = 1,
    as_json: Json = False,
) -> None:
    """Counts what a profile's models take on a card, and says what to change where that is too much.

    Nothing is loaded. Parameters are counted; activations and KV cache follow from the models' shapes; runtime and
    allocator slack are assumed, and named so in the JSON. The exit code is 1 where the plan does not fit.
    """
    from streetvision_core.compression.memory import plan_memory as count
    from streetvision_core.settings import load_settings

    plan = count(load_settings(profile or None), gpu, miners)
    if as_json:
        emit(plan.to_dict())
        raise typer.Exit(OK if plan.fits else NAMED_ERROR)
    from rich.table import Table

    table = Table(title=f"{plan.profile}, {miners} x on {gpu:g} GiB", title_justify="left")
    for name in ("role", "model", "parameters", "precision", "weights GiB", "working GiB", "resident"):
        table.add_column(name, justify="right" if "GiB" in name or name == "parameters" else "left", overflow="fold")
    for item in plan.items:
        numbers = (f"{item.params / 1e6:,.0f} M", item.precision, f"{item.weights_gib:.2f}", f"{item.working_gib:.2f}")
        table.add_row(item.role, item.model.split("/")[-1], *numbers, "yes" if item.resident else "in turn")
    stdout.print(table)
    colour = "green" if plan.fits else "bold red"
    verdict = "fits" if plan.fits else "too much"
    say((f"{plan.total_gib:.1f} GiB of {gpu:g}, with runtime and slack: {verdict}", colour))
    for change in plan.changes:
        say(f"  -> {change.total_gib:5.1f} GiB{' (fits)' if change.fits else ''} with: {change.what}")
    for name in plan.unknown:
        say(f"  not counted, its shape is not known or it runs on the CPU: {name}")
    raise typer.Exit(OK if plan.fits else NAMED_ERROR)
