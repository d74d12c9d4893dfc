"""No chain can be reached here: the conversion is tried on an object with the genuine metagraph's attributes, and on a
genuine metagraph that is filled by the SDK's own code from made-up neurons."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from importlib.util import find_spec
from types import SimpleNamespace

import numpy as np
import pytest

from streetvision_core.economics import chain
from streetvision_core.errors import ChainError, MissingExtraError
from streetvision_core.serving.protocols.sn72.keys import load_or_make_key

NOW = datetime.now(UTC)


def metagraph(**changes):
    serving = SimpleNamespace(ip="192.0.2.7", port=8091, is_serving=True)
    silent = SimpleNamespace(ip="0.0.0.0", port=0, is_serving=False)
    whole = {
        "netuid": 323,
        "block": np.array([5_100]).squeeze(),
        "uids": np.array([0, 1]),
        "hotkeys": ["5a", "5b"],
        "validator_permit": np.array([True, False]),
        "S": np.array([1000.5, 2.0], np.float32),
        "I": np.array([0.0, 1.0], np.float32),
        "last_update": np.array([5_000, 4_000]),
        "axons": [silent, serving],
        "owner_hotkey": "5b",
        "tempo": 360,
    }
    return SimpleNamespace(**{**whole, **changes})


class Subtensor:
    def __init__(self, answer):
        self.answer, self.asked = answer, []

    def metagraph(self, netuid, lite):
        self.asked.append(netuid)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def test_to_snapshot__plain_values():
    snapshot = chain.to_snapshot(metagraph(), "test", NOW)
    first, second = snapshot.neurons
    assert (snapshot.block, snapshot.owner_hotkey, snapshot.tempo, snapshot.netuid) == (5_100, "5b", 360, 323)
    assert (first.hotkey, first.validator_permit, first.stake, first.endpoint) == ("5a", True, 1000.5, "")
    assert (second.incentive, second.last_update, second.endpoint) == (1.0, 4_000, "192.0.2.7:8091")
    assert [type(v) for v in (first.uid, first.validator_permit, first.stake)] == [int, bool, float]
    assert chain.Snapshot.from_dict(snapshot.to_dict()) == snapshot


GENUINE = """
import json
from datetime import UTC, datetime
from types import SimpleNamespace
from bittensor.core.chain_data import AxonInfo
from bittensor.core.metagraph import Metagraph
from streetvision_core.economics.chain import to_snapshot

def neuron(uid, ip, permit, incentive):
    axon = AxonInfo(version=1, ip=ip, port=8091, ip_type=4, hotkey=f"5{uid}", coldkey="")
    rest = dict.fromkeys(("consensus", "dividends", "emission", "active", "validator_trust"), 0)
    return SimpleNamespace(
        uid=uid, incentive=incentive, last_update=7, validator_permit=permit, axon_info=axon, **rest)

metagraph = Metagraph(netuid=323, network="test", sync=False)
metagraph.neurons = [neuron(0, "0.0.0.0", True, 0.0), neuron(1, "192.0.2.7", False, 1.0)]
metagraph._set_metagraph_attributes(5100)
metagraph.stake = metagraph._create_tensor([1000.5, 2.0], dtype=metagraph._dtype_registry["float32"])
metagraph.owner_hotkey, metagraph.tempo = "51", 99
print(json.dumps(to_snapshot(metagraph, "test", datetime.now(UTC)).to_dict()))
"""


@pytest.mark.skipif(find_spec("bittensor") is None, reason="the extra sn72 is not installed")
def test_to_snapshot__of_the_genuine_class(tmp_path):
    # in a process of its own, because the SDK takes over the logging; it makes a folder in the home directory
    environment = {**os.environ, "HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", GENUINE], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    snapshot = chain.Snapshot.from_dict(json.loads(done.stdout.splitlines()[-1]))
    first, second = snapshot.neurons
    assert (snapshot.block, snapshot.netuid, snapshot.owner_hotkey, snapshot.tempo) == (5100, 323, "51", 99)
    assert first == chain.Neuron(0, "50", True, 1000.5, 0.0, 7, "")
    assert second == chain.Neuron(1, "51", False, 2.0, 1.0, 7, "192.0.2.7:8091")


def test_fetch_snapshot__asks_the_subnet():
    subtensor = Subtensor(metagraph())
    assert len(chain.fetch_snapshot("test", 323, lambda network: subtensor).neurons) == 2
    assert subtensor.asked == [323]


@pytest.mark.parametrize(
    "answer",
    [ConnectionError("refused"), TimeoutError(), metagraph(hotkeys=["5a"]), metagraph(S=[float("nan"), 1.0]), None],
)
def test_fetch_snapshot__whatever_goes_wrong_is_named(answer):
    with pytest.raises(ChainError, match=r"from test/323.*a chain that can be reached"):
        chain.fetch_snapshot("test", 323, lambda network: Subtensor(answer))


def test_fetch_snapshot__without_the_sdk_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "bittensor", None)
    with pytest.raises(MissingExtraError, match="streetvision install sn72"):
        chain.fetch_snapshot("test", 323)


@pytest.mark.parametrize("ip", ["0.0.0.0", "127.0.0.1", "10.0.0.5", "example.org", ""])
def test_publish_endpoint__only_a_public_address(tmp_path, ip):
    with pytest.raises(ChainError, match="a public IP address"):
        chain.publish_endpoint("test", 323, tmp_path / "hot", ip, 8091)


def test_publish_endpoint__needs_a_hotkey_file(tmp_path):
    with pytest.raises(ChainError, match="hotkey file"):
        chain.publish_endpoint("test", 323, tmp_path / "w" / "hotkeys" / "none", "8.8.8.8", 8091)


def test_publish_endpoint__without_the_sdk_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "bittensor", None)
    path = tmp_path / "w" / "hotkeys" / "hot"
    load_or_make_key(path)
    with pytest.raises(MissingExtraError):
        chain.publish_endpoint("test", 323, path, "8.8.8.8", 8091)
