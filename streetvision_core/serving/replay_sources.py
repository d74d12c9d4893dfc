"""What a replay can send: the rendered stream, a day of the query log, a folder of images."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from streetvision_core.errors import ServingError
from streetvision_core.images.folders import list_images
from streetvision_core.images.lists import read_paths
from streetvision_core.mining.querylog import QueryLog
from streetvision_core.settings import Settings


@dataclass(frozen=True, slots=True)
class ReplayImage:
    """One image to send.

    Attributes:
        data: encoded bytes.
        name: for messages.
        truth: 1 road work, 0 none, None unknown.
    """

    data: bytes
    name: str
    truth: int | None = None


def images_of(settings: Settings, source: str | Path, limit: int | None = None) -> Iterator[ReplayImage]:
    """The images of a source.

    Args:
        settings: where the workspace lies.
        source: `rendered`, a day `YYYY-MM-DD` of the query log, a folder of images, or a CSV that lists images.
        limit: most images; None takes all, of the rendered stream one day.

    Raises:
        NoImagesError: the folder holds none.
        ServingError: the log has no such day.
    """
    if str(source) == "rendered":
        return _rendered(settings, limit or settings.loop.queries_per_day)
    if _is_day(str(source)):
        images = _logged_day(settings.paths.resolve("data") / "queries", str(source))
    else:
        place = Path(source)
        paths = read_paths(place) if place.is_file() else list_images(place)
        images = (ReplayImage(path.read_bytes(), path.name) for path in paths)
    return itertools.islice(images, limit)


def _rendered(settings: Settings, n: int) -> Iterator[ReplayImage]:
    # the rendered world loads its assets, which a replay of files does not need
    from streetvision_core.mining.stream import day_stream

    for query in day_stream(0, n, settings.seed):
        yield ReplayImage(query.jpeg_bytes, query.group, query.truth)


def _is_day(text: str) -> bool:
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC) is not None
    except ValueError:
        return False


def _logged_day(root: Path, day: str) -> Iterator[ReplayImage]:
    with QueryLog(root) as log:
        rows = log.rows(day)
        if not rows:
            days = ", ".join(log.counts().days) or "none yet"
            raise ServingError(f"no query logged on {day}", f"a logged day: {days}", "name one of them")
        for row in rows:
            yield ReplayImage(log.image(row.sha256), row.name, row.truth)
