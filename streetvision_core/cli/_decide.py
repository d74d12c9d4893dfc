"""`streetvision versions approve`, `hold`, `rollback`, `pin`: who decides what serves, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from streetvision_core.cli._learning import Json, Profile
from streetvision_core.cli._output import say
from streetvision_core.cli._versions_app import By, Reason, Version, open_versions, person_of, report, versions

if TYPE_CHECKING:
    from streetvision_core.registry.versions import Registry


def register(app: typer.Typer) -> None:
    """Adds the alias; the commands themselves belong to `versions`."""
    app.command(epilog='Example:  streetvision rollback --by anna --reason "worse on the new camera"', deprecated=True)(
        rollback
    )


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

    registry = open_versions(profile)
    if override and not version:
        raise RegistryError(
            got="--override without a version",
            allowed="the name of the version it is about",
            action="name one that `streetvision versions list` shows",
        )
    if version:
        _check_fits(registry, version, profile)
    if override:
        event = registry.promote(version, Override(person_of(by), override))
    else:
        event = registry.approve(version or None, person_of(by))
    report(registry, event, f"{event.version} is champion", as_json)


@versions.command("hold", epilog='Example:  streetvision versions hold --reason "the camera is being changed"')
def hold(reason: Reason, by: By = "", profile: Profile = "", as_json: Json = False) -> None:
    """Keeps automatic promotion away; the gate goes on deciding, and what passes waits for `approve`."""
    registry = open_versions(profile)
    event = registry.hold(person_of(by), reason)
    report(registry, event, f"{event.version} stays champion", as_json)


@versions.command("unhold", epilog="Example:  streetvision versions unhold")
def unhold(
    reason: Annotated[str, typer.Option(help="Why; it stands in the history.")] = "the hold is over",
    by: By = "",
    profile: Profile = "",
    as_json: Json = False,
) -> None:
    """Lets the gate promote again, from the next night on."""
    registry = open_versions(profile)
    report(registry, registry.unhold(person_of(by), reason), "the gate promotes again", as_json)


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
    registry = open_versions(profile)
    if to:
        _check_fits(registry, to, profile)
    event = registry.rollback(person_of(by), reason, to or None)
    report(registry, event, f"{event.version} is champion again", as_json)


@versions.command("pin", epilog='Example:  streetvision versions pin v0002 --reason "as shown at the fair"')
def pin(version: Version, reason: Reason, by: By = "", profile: Profile = "", as_json: Json = False) -> None:
    """Lets a version serve in the champion's place until `unpin`; running servers follow within seconds."""
    registry = open_versions(profile)
    _check_fits(registry, version, profile)
    event = registry.pin(version, person_of(by), reason)
    report(registry, event, f"{event.version} serves", as_json)


@versions.command("unpin", epilog="Example:  streetvision versions unpin")
def unpin(
    reason: Annotated[str, typer.Option(help="Why; it stands in the history.")] = "the pin is over",
    by: By = "",
    profile: Profile = "",
    as_json: Json = False,
) -> None:
    """Lets the champion serve again."""
    registry = open_versions(profile)
    event = registry.unpin(person_of(by), reason)
    report(registry, event, f"{event.version} serves", as_json)


def rollback(
    by: Annotated[str, typer.Option(help="Who decides.")],
    reason: Reason,
    to: Annotated[str, typer.Option(help="A version that has served; empty takes the one before.")] = "",
    profile: Profile = "",
) -> None:
    """Is now `streetvision versions rollback`."""
    say("`streetvision rollback` is now `streetvision versions rollback`")
    roll_back(reason, to, by, profile, False)


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
