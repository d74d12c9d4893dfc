"""What was last seen of the subnet: a JSON file that another process writes and the server reads."""

from __future__ import annotations

import json
import math
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from streetvision_core.errors import ChainError
from streetvision_core.storage import atomic_write_json

FORMAT: Final = "metagraph/1"
_FUTURE_SECONDS: Final = 300.0
_MAX_FILE_BYTES: Final = 16 * 2**20


@dataclass(frozen=True, slots=True)
class Neuron:
    """One registered hotkey.

    Attributes:
        uid: its place on the subnet.
        hotkey: its ss58 address.
        validator_permit: whether it may validate.
        stake: in the subnet's alpha.
        incentive: its share of the miners' reward, in [0, 1].
        last_update: the block at which it last set weights, or registered.
        endpoint: `ip:port` where it serves, "" if nowhere.
    """

    uid: int
    hotkey: str
    validator_permit: bool
    stake: float
    incentive: float = 0.0
    last_update: int = 0
    endpoint: str = ""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.stake) and math.isfinite(self.incentive) and self.hotkey):
            raise ValueError(f"uid {self.uid} with stake {self.stake}, incentive {self.incentive}")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The metagraph of one block.

    Attributes:
        network: `test`, `finney` or `local`.
        netuid: the subnet.
        block: at which it was read; 0 for a file written by hand.
        taken_at: aware, UTC.
        owner_hotkey: of the subnet's owner; what it earns as a miner is burnt.
        tempo: blocks between two payments.
        neurons: every registered hotkey.
    """

    network: str
    netuid: int
    block: int
    taken_at: datetime
    owner_hotkey: str
    tempo: int
    neurons: tuple[Neuron, ...]

    def age_seconds(self) -> float:
        """Seconds since it was taken."""
        return time.time() - self.taken_at.timestamp()

    def find(self, hotkey: str) -> Neuron | None:
        """The neuron of a hotkey, if it is registered."""
        return next((neuron for neuron in self.neurons if neuron.hotkey == hotkey), None)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form."""
        return {"format": FORMAT, **asdict(self), "taken_at": self.taken_at.astimezone(UTC).isoformat()}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Snapshot:
        """The inverse of `to_dict`."""
        fields = {name: value for name, value in data.items() if name != "format"}
        fields["taken_at"] = datetime.fromisoformat(data["taken_at"])
        fields["neurons"] = tuple(Neuron(**neuron) for neuron in data["neurons"])
        snapshot = cls(**fields)
        if data.get("format") != FORMAT or snapshot.taken_at.tzinfo is None:
            raise ValueError(f"format {data.get('format')!r}, taken at {data['taken_at']!r}")
        if snapshot.age_seconds() < -_FUTURE_SECONDS:
            raise ValueError(f"taken in the future, at {data['taken_at']}")
        return snapshot


def write_snapshot(path: Path, snapshot: Snapshot) -> None:
    """Writes it by replace: a reader sees the old one or the new one."""
    atomic_write_json(path, snapshot.to_dict())


def read_snapshot(path: Path) -> Snapshot:
    """Reads it.

    Raises:
        ChainError: missing, damaged, or of another format.
    """
    try:
        with path.open("rb") as file:
            return Snapshot.from_dict(json.loads(file.read(_MAX_FILE_BYTES)))
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ChainError(
            got=f"{path}: {type(error).__name__}: {str(error)[:200]}",
            allowed=f"a metagraph snapshot, JSON of the format {FORMAT}",
            action="write one with: streetvision metagraph refresh --netuid 323 --network test",
            path=str(path),
        ) from error
