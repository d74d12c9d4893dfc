from datetime import UTC, datetime, timedelta

import pytest

from streetvision_core.economics.gate import examine
from streetvision_core.errors import ChainError
from streetvision_core.serving.protocols.sn72.snapshot import Neuron, Snapshot

OWNER, MINER, VALIDATOR = "5owner", "5miner", "5validator"
NOW = datetime.now(UTC)


def shot(owner=0.2, miner=0.8, updated=9_900, endpoint="192.0.2.7:8091", network="finney", netuid=72):
    neurons = (
        Neuron(0, OWNER, False, 10.0, owner),
        Neuron(1, MINER, False, 1.0, miner, endpoint=endpoint),
        Neuron(2, VALIDATOR, True, 500.0, 0.0, updated),
    )
    return Snapshot(network, netuid, 10_000, NOW, OWNER, 360, neurons)


def signs(gate):
    return [finding.sign for finding in gate.findings]


def test_examine__without_a_snapshot_the_dated_facts_speak():
    gate = examine("finney", 72, MINER, None, None)
    assert gate.pays is False
    assert signs(gate) == ["bad", "bad", "unknown", "unknown"]
    assert "2026-05-06" in gate.findings[0].answer
    with pytest.raises(ChainError, match=r"2026-05-06.*--although-unpaid"):
        gate.check(although_unpaid=False)
    gate.check(although_unpaid=True)


@pytest.mark.parametrize(
    ("snapshot", "expected", "pays"),
    [
        (shot(), ["good", "good"], True),
        (shot(owner=1.0, miner=0.0), ["bad", "bad"], False),
        (shot(owner=0.0, miner=1.0), ["bad", "good"], False),  # everything for one: nobody scores miners
        (shot(updated=8_000), ["bad", "good"], False),
        (shot(owner=0.0, miner=0.0), ["good", "bad"], False),  # nothing is paid; the last known fact says burnt
        (shot(network="test"), ["bad", "bad"], False),  # another subnet's snapshot is none
    ],
)
def test_examine__a_snapshot_renews_the_facts(snapshot, expected, pays):
    gate = examine("finney", 72, MINER, snapshot, None)
    assert (signs(gate)[:2], gate.pays) == (expected, pays)


def test_examine__other_networks():
    test = examine("test", 323, MINER, shot(network="test", netuid=323), None)
    assert (test.pays, signs(test)[:2]) == (False, ["good", "good"])
    test.check(although_unpaid=False)
    assert examine("finney", 34, MINER, None, None).pays is None


@pytest.mark.parametrize(
    ("hotkey", "endpoint", "sign", "text"),
    [
        (MINER, "192.0.2.7:8091", "good", "uid 1, serving at 192.0.2.7:8091"),
        (MINER, "", "bad", "publish it with: streetvision metagraph publish"),
        ("5stranger", "", "bad", "5stranger is not registered"),
        (None, "", "unknown", "without a hotkey"),
    ],
)
def test_examine__our_own_place(hotkey, endpoint, sign, text):
    finding = examine("finney", 72, hotkey, shot(endpoint=endpoint), None).findings[2]
    assert finding.sign == sign
    assert text in finding.answer


@pytest.mark.parametrize(("hours", "sign"), [(1, "good"), (30, "bad")])
def test_examine__when_last_asked(hours, sign):
    asked = datetime.now(UTC) - timedelta(hours=hours)  # not the time this file was read at
    finding = examine("finney", 72, None, None, asked).findings[3]
    assert finding.sign == sign
    assert f"{hours}.0 h ago" in finding.answer
