"""Where the nights begin in a workspace that was made before there was a cursor: behind what its days have mined."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from streetvision_core.mining.querylog import QueryLog

_DAY: Final = "????-??-??"
_SIMULATED: Final = "rendered-"


def last_mined_query(log: QueryLog, days: Path) -> int:
    """The number of the last query that such a workspace has mined; 0 where none was.

    A day was mined when its notebook ran, which for a scheduled loop is soon after midnight: only queries received
    before then were seen. Queries of a simulated day were all there, whatever time they carry.

    Args:
        log: the query log.
        days: `data/days`.
    """
    mined = {path.parent.name: _ended_at(path.parent) for path in days.glob(f"{_DAY}/mined.json")}
    seen = [
        row.id
        for day, ended_at in mined.items()
        for row in log.rows(day)
        if row.origin.startswith(_SIMULATED) or row.received_at.isoformat() <= ended_at
    ]
    return max(seen, default=0)


def _ended_at(folder: Path) -> str:
    """When the day's run was last written, ISO time; all of the day where it ran by hand, without the loop."""
    try:
        return str(json.loads((folder / "run.json").read_text(encoding="utf-8"))["updated_at"])
    except (OSError, ValueError, KeyError):
        return f"{folder.name}T24"
