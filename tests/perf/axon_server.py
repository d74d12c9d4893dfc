"""Runs inside the environment of bittensor 10 only: the SDK's own axon with a stub model, for `bench_axon.py`.

Usage: python axon_server.py SEED_HEX; prints its port, then its CPU seconds for each line it reads.
"""

import socket
import sys
import time
import typing

from bittensor.utils import networking

networking.get_external_ip = lambda: "192.0.2.1"

import pydantic  # noqa: E402
from bittensor.core.axon import Axon  # noqa: E402
from bittensor.core.synapse import Synapse  # noqa: E402
from bittensor_wallet import Keypair  # noqa: E402


class ImageSynapse(Synapse):
    testnet_label: int = -1
    image: str = pydantic.Field(default="", frozen=False)
    prediction: float = pydantic.Field(default=-1.0, frozen=False)


class Wallet:
    def __init__(self, seed):
        self.hotkey = Keypair.create_from_seed(seed)
        self.coldkeypub = self.hotkey


async def forward(synapse: ImageSynapse) -> ImageSynapse:
    synapse.prediction = 0.9
    return synapse


async def blacklist(synapse: ImageSynapse) -> typing.Tuple[bool, str]:  # noqa: UP006  (the axon compares the annotation)
    return False, ""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


if __name__ == "__main__":
    port = free_port()
    axon = Axon(wallet=Wallet(sys.argv[1]), port=port, ip="127.0.0.1", external_ip="127.0.0.1")
    axon.fast_config.host = "127.0.0.1"
    axon.attach(forward_fn=forward, blacklist_fn=blacklist)
    axon.start()
    while not axon.fast_server.started:
        time.sleep(0.02)
    print(port, flush=True)
    for _ in sys.stdin:
        print(time.process_time(), flush=True)
