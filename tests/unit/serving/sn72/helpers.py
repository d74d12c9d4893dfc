from datetime import UTC, datetime, timedelta

from streetvision_core.serving.protocols.sn72.keys import KeyPair
from streetvision_core.serving.protocols.sn72.snapshot import Neuron, Snapshot

RECEIVER = KeyPair.from_seed(b"r" * 32)
VALIDATOR = KeyPair.from_seed(b"v" * 32)
MINER = KeyPair.from_seed(b"m" * 32)
STRANGER = KeyPair.from_seed(b"s" * 32)


def snapshot(age_seconds=0.0, **fields):
    neurons = (
        Neuron(0, VALIDATOR.address, True, 1000.0, 0.0, 5000),
        Neuron(1, MINER.address, False, 2.0, 0.25, 4000, "192.0.2.7:8091"),
        Neuron(2, RECEIVER.address, False, 0.0, 0.75, 3000),
    )
    taken_at = datetime.now(UTC) - timedelta(seconds=age_seconds)
    whole = {"network": "test", "netuid": 323, "block": 5100, "owner_hotkey": RECEIVER.address, "tempo": 360}
    return Snapshot(**{**whole, "taken_at": taken_at, "neurons": neurons, **fields})
