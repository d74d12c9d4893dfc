"""The first version, made before a command that needs one, with a line that says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streetvision_core.cli._output import say

if TYPE_CHECKING:
    from streetvision_core.registry.versions import Registry
    from streetvision_core.settings import Settings


def first_version(settings: Settings, registry: Registry) -> None:
    """Makes the workspace's first version where it has none, and says that it does.

    Raises:
        DataError: there is no photograph that the profile's models can learn from.
        ModelError: big models of the profile are not here; which, and the commands that bring them.
    """
    from streetvision_core.models import hub

    hub.require(settings)
    if registry.serving() is not None:
        return
    from streetvision_core.learning.first import record_first_of
    from streetvision_core.training.heads import progress_bar

    say(f"no version yet in {settings.paths.home}: training the first, once (half a minute)")
    with progress_bar("first version") as progress:
        version = record_first_of(settings, registry, progress)
    say((version.name, "bold"), " serves from now on")
