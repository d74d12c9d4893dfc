"""What the commands that work on one night share: its folder, its queries, what it has mined."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from streetvision_core.data.observe import Observer
    from streetvision_core.labels import LabelStore
    from streetvision_core.learning.mine import Mined
    from streetvision_core.mining.querylog import QueryLog, QueryRow
    from streetvision_core.settings import Settings


@dataclass(frozen=True, slots=True)
class OpenNight:
    """A night that a command works on.

    Attributes:
        settings: the profile.
        folder: of the night, `data/days/<night>`.
        queries: its queries.
        log: the query log.
        store: the label store.
        observer: the profile's frozen models.
    """

    settings: Settings
    folder: Path
    queries: list[QueryRow]
    log: QueryLog
    store: LabelStore
    observer: Observer

    def select(self) -> Mined:
        """Mines the night, and keeps what it finds.

        Raises:
            LoopError: no query came.
        """
        from streetvision_core.learning.mine_night import record_mined_night

        return record_mined_night(self.settings, self.queries, self.log, self.observer, self.store, self.folder)

    def mined(self) -> Mined:
        """What the night has mined; mined now where it has not.

        Raises:
            LoopError: no query came.
        """
        from streetvision_core.learning.mine import MODES_FILE, load_mined

        if not (self.folder / MODES_FILE).exists():
            return self.select()
        return load_mined(self.folder, self.queries, self.store.labels())


@contextmanager
def open_night(profile: str, day: str) -> Iterator[OpenNight]:
    """Opens a night by its name; empty means the one that would begin now.

    Raises:
        SettingsError: an unknown profile or key.
        LoopError: no night's name, or a day that has not begun.
    """
    from streetvision_core.data.observe import Observer
    from streetvision_core.labels import LabelStore, label_store_path
    from streetvision_core.loop.nights import find_snapshot
    from streetvision_core.loop.place import night_folder
    from streetvision_core.mining.querylog import QueryLog
    from streetvision_core.settings import load_settings

    settings = load_settings(profile or None)
    snapshot, folder = find_snapshot(settings, day), night_folder(settings, day)
    with (
        QueryLog(settings.paths.resolve("data") / "queries") as log,
        LabelStore(label_store_path(settings)) as store,
    ):
        yield OpenNight(settings, folder, snapshot.queries(log), log, store, Observer.of(settings))
