"""The queries that a notebook looks at: those of the night, or a few rendered examples where there are none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from streetvision_core.learning.versions import load_cascade
from streetvision_core.loop.demo import example_queries
from streetvision_core.loop.nights import find_snapshot
from streetvision_core.mining.querylog import QueryLog, QueryRow
from streetvision_core.registry.versions import open_registry
from streetvision_core.settings import Settings

if TYPE_CHECKING:
    from streetvision_core.models.factory import ModelSet

_MOST_EXAMPLES: Final = 60


def find_queries(settings: Settings, night: str, models: ModelSet) -> tuple[QueryLog, list[QueryRow]]:
    """The log and the queries of a night.

    Where the workspace has none, and the loop has not begun the night, a few rendered ones are answered here and kept
    in a log that ends with this process, so that a notebook shows something on the first day.

    Args:
        settings: the workspace.
        night: the night's name; empty means the one that would begin now.
        models: the profile's frozen models.

    Raises:
        RegistryError: no version serves yet, so nothing can be answered.
    """
    log = QueryLog(settings.paths.resolve("data") / "queries")
    queries = find_snapshot(settings, night).queries(log)
    if queries or log.last_id():
        return log, queries
    cascade = load_cascade(open_registry(settings), settings, models)
    examples = example_queries(
        cascade, min(_MOST_EXAMPLES, settings.loop.queries_per_day), settings.seed, settings.decode
    )
    return examples, examples.rows()
