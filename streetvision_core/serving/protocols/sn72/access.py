"""Who is answered: validators of the newest snapshot, and hotkeys allowed by hand; each at a bounded rate."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

import structlog
from cachetools import LRUCache

from streetvision_core.errors import ChainError, QueryRefusedError
from streetvision_core.serving.protocols.sn72.refusals import refused
from streetvision_core.serving.protocols.sn72.snapshot import Neuron, Snapshot, read_snapshot
from streetvision_core.settings import Sn72Settings

SNAPSHOT_FILE: Final = "metagraph.json"
_LOOK_SECONDS: Final = 2.0
_MAX_BUCKETS: Final = 4096
_log = structlog.get_logger(__name__)


class SnapshotFile:
    """The newest readable state of a snapshot file; looked at every two seconds, read when it has changed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.current: Snapshot | None = None
        self._neurons: dict[str, Neuron] = {}
        self._seen: tuple[int, int] | None = None
        self._look_at = 0.0

    def neuron(self, hotkey: str) -> Neuron | None:
        """A registered hotkey of the newest snapshot."""
        self.refresh()
        return self._neurons.get(hotkey)

    def refresh(self) -> None:
        """Reads the file if it is new; an unreadable one leaves the last in force, whose age then tells."""
        if time.monotonic() < self._look_at:
            return
        self._look_at = time.monotonic() + _LOOK_SECONDS
        try:
            status = self.path.stat()
        except OSError:
            return
        mark = (status.st_mtime_ns, status.st_ino)
        if mark == self._seen:
            return
        self._seen = mark
        try:
            self.current = read_snapshot(self.path)
        except ChainError as error:
            _log.warning("snapshot unreadable; the last one stays", error=str(error))
            return
        self._neurons = {neuron.hotkey: neuron for neuron in self.current.neurons}


class Access:
    """The permit rules.

    Args:
        settings: the rules.
        snapshot: who is registered.
    """

    def __init__(self, settings: Sn72Settings, snapshot: SnapshotFile) -> None:
        self._settings = settings
        self.snapshot = snapshot
        self._allowed = frozenset(settings.allow_hotkeys)
        self._rate = _Rate(settings.queries_per_minute / 60, settings.burst_queries)

    def check(self, hotkey: str) -> None:
        """Whether a verified hotkey may ask.

        Raises:
            QueryRefusedError: not registered, no validator, too little stake, or nothing fresh enough is known.
        """
        if hotkey in self._allowed:
            return
        neuron = self.snapshot.neuron(hotkey)
        self._check_fresh()
        if neuron is None:
            raise refused("hotkey-unknown", f"the unregistered hotkey {hotkey}", "hotkeys of the subnet")
        if self._settings.require_permit and not neuron.validator_permit:
            raise refused("no-permit", f"uid {neuron.uid}, no validator", "validators of the subnet")
        if neuron.stake < self._settings.min_stake:
            raise refused("stake", f"uid {neuron.uid} with stake {neuron.stake:g}", f">= {self._settings.min_stake:g}")

    def spend(self, hotkey: str) -> None:
        """Counts one query of a permitted hotkey.

        Raises:
            QueryRefusedError: it has asked too often.
        """
        self._rate.spend(hotkey)

    def _check_fresh(self) -> None:
        known, most = self.snapshot.current, self._settings.snapshot_max_age_seconds
        if known is None:
            raise self._stale("no snapshot")
        if (known.network, known.netuid) != (self._settings.network, self._settings.netuid):
            raise self._stale(f"a snapshot of {known.network}/{known.netuid}")
        if most is not None and known.age_seconds() > most:
            raise self._stale(f"a snapshot {known.age_seconds():.0f} s old")

    def _stale(self, got: str) -> QueryRefusedError:
        wanted = f"one of {self._settings.network}/{self._settings.netuid}"
        most = self._settings.snapshot_max_age_seconds
        return refused(
            "snapshot",
            got,
            wanted if most is None else f"{wanted}, at most {most:g} s old",
            "keep it fresh with: streetvision metagraph refresh --every 600",
        )


class _Rate:
    """One token bucket per hotkey; only permitted hotkeys get one, so they are few."""

    def __init__(self, per_second: float, burst: int) -> None:
        self._per_second = per_second
        self._burst = float(burst)
        self._buckets: LRUCache[str, tuple[float, float]] = LRUCache(_MAX_BUCKETS)

    def spend(self, hotkey: str) -> None:
        now = time.monotonic()
        tokens, since = self._buckets.get(hotkey, (self._burst, now))
        tokens = min(self._burst, tokens + (now - since) * self._per_second)
        if tokens < 1:
            self._buckets[hotkey] = (tokens, now)
            raise refused("rate", f"more than {self._burst:g} queries at once", f"{60 * self._per_second:g} a minute")
        self._buckets[hotkey] = (tokens - 1, now)
