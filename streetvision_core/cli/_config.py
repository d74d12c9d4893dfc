"""`streetvision config`: the settings in force, and where each comes from."""

from __future__ import annotations

from typing import Annotated

import typer

from streetvision_core.cli._learning import Json, Profile
from streetvision_core.cli._output import emit, say

config = typer.Typer(
    help="Settings in force: command line before environment before streetvision.yaml before profile before default.",
    epilog="Examples:  streetvision config show   ·   streetvision config explain cascade.alpha",
    no_args_is_help=True,
)


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.add_typer(config, name="config")


@config.command("show", epilog="Example:  streetvision config show --json")
def show(
    changed: Annotated[bool, typer.Option("--changed", help="Only what is not the default.")] = False,
    profile: Profile = "",
    as_json: Json = False,
) -> None:
    """Every setting, its value and where it comes from; secrets are hidden."""
    from streetvision_core.ops.explain import explain_settings

    rows = [one for one in explain_settings(profile or None) if not changed or one.source != "default"]
    if as_json:
        emit([one.to_dict() for one in rows])
        return
    width = max((len(one.key) for one in rows), default=0)
    for one in rows:
        typer.echo(f"{one.key:{width}}  {one.value}  ({one.source})")


@config.command("check", epilog="Example:  streetvision config check --profile light")
def check(profile: Profile = "") -> None:
    """Whether everything that is set is known and within its range; exit code 1 names what is not."""
    from streetvision_core.settings import load_settings

    settings = load_settings(profile or None)
    say(f"the settings are whole; profile {settings.profile}")


@config.command("explain", epilog="Example:  streetvision config explain serving.deadline_seconds")
def explain(
    key: Annotated[str, typer.Argument(help="As section.name, or a section.")],
    profile: Profile = "",
    as_json: Json = False,
) -> None:
    """What a setting is, its value, where that comes from and how to change it."""
    from streetvision_core.errors import SettingsError
    from streetvision_core.ops.explain import explain_settings

    every = explain_settings(profile or None)
    rows = [one for one in every if one.key == key or one.key.startswith(f"{key}.")]
    if not rows:
        sections = sorted({one.key.split(".")[0] for one in every})
        raise SettingsError(f"the setting {key!r}", ", ".join(sections), "run: streetvision config show", where=key)
    if as_json:
        emit([one.to_dict() for one in rows])
        return
    for one in rows:
        typer.echo(f"{one.key} = {one.value}\n  from: {one.source}; set it with {one.variable} or in streetvision.yaml")
        if one.description:
            typer.echo(f"  {one.description}")
