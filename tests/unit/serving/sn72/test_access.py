import json

import pytest

from streetvision_core.errors import ChainError, QueryRefusedError
from streetvision_core.serving.protocols.sn72 import access as module
from streetvision_core.serving.protocols.sn72.access import Access, SnapshotFile
from streetvision_core.serving.protocols.sn72.snapshot import read_snapshot, write_snapshot
from streetvision_core.settings import Sn72Settings

from .helpers import MINER, RECEIVER, STRANGER, VALIDATOR, snapshot


def reason(access, key):
    try:
        access.check(key.address)
    except QueryRefusedError as error:
        return error.data["reason"]
    return "in"


def access_with(tmp_path, shot, **limits):
    path = tmp_path / "metagraph.json"
    if shot is not None:
        write_snapshot(path, shot)
    return Access(Sn72Settings(**limits), SnapshotFile(path))


@pytest.mark.parametrize(
    ("limits", "validator", "miner", "stranger"),
    [
        ({}, "in", "no-permit", "hotkey-unknown"),
        ({"require_permit": False}, "in", "in", "hotkey-unknown"),
        ({"require_permit": False, "min_stake": 2.5}, "in", "stake", "hotkey-unknown"),
        ({"min_stake": 1000.5}, "stake", "no-permit", "hotkey-unknown"),
        ({"allow_hotkeys": (STRANGER.address,)}, "in", "no-permit", "in"),
    ],
)
def test_check__rules(tmp_path, limits, validator, miner, stranger):
    access = access_with(tmp_path, snapshot(), **limits)
    assert [reason(access, key) for key in (VALIDATOR, MINER, STRANGER)] == [validator, miner, stranger]


@pytest.mark.parametrize(
    ("fields", "limits", "expected"),
    [
        (None, {}, "snapshot"),
        ({"age_seconds": 3 * 3600 + 1}, {}, "snapshot"),
        ({"age_seconds": 3 * 3600 - 60}, {}, "in"),
        ({"age_seconds": 1e8}, {"snapshot_max_age_seconds": None}, "in"),
        ({"netuid": 72}, {}, "snapshot"),
        ({"network": "finney"}, {}, "snapshot"),
    ],
)
def test_check__the_snapshot_is_fresh_and_of_this_subnet(tmp_path, fields, limits, expected):
    shot = None if fields is None else snapshot(**fields)
    access = access_with(tmp_path, shot, allow_hotkeys=(STRANGER.address,), **limits)
    assert reason(access, VALIDATOR) == expected
    assert reason(access, STRANGER) == "in"  # allowed by hand, whatever is known


def test_snapshot_file__a_new_one_is_seen_and_a_broken_one_changes_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_LOOK_SECONDS", 0.0)
    access = access_with(tmp_path, snapshot())
    assert reason(access, VALIDATOR) == "in"
    (tmp_path / "metagraph.json").write_text("{")
    assert reason(access, VALIDATOR) == "in"
    write_snapshot(tmp_path / "metagraph.json", snapshot(neurons=()))
    assert reason(access, VALIDATOR) == "hotkey-unknown"
    (tmp_path / "metagraph.json").unlink()
    assert reason(access, VALIDATOR) == "hotkey-unknown"


def test_spend__each_hotkey_has_its_own_bucket_that_fills_again(tmp_path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    access = access_with(tmp_path, snapshot(), queries_per_minute=60, burst_queries=3)

    def spends(n):
        answers = []
        for _ in range(n):
            try:
                access.spend(VALIDATOR.address)
                answers.append(True)
            except QueryRefusedError as error:
                answers.append(error.data["status"])
        return answers

    assert spends(5) == [True, True, True, 429, 429]
    access.spend(MINER.address)
    now[0] += 2
    assert spends(3) == [True, True, 429]


def test_snapshot__comes_back(tmp_path):
    shot = snapshot()
    write_snapshot(tmp_path / "s.json", shot)
    again = read_snapshot(tmp_path / "s.json")
    assert again == shot
    assert again.find(RECEIVER.address).uid == 2
    assert again.find("nobody") is None


@pytest.mark.parametrize(
    "change",
    [
        {"format": "metagraph/2"},
        {"taken_at": "2026-11-26T10:00:00"},
        {"taken_at": "2999-01-01T00:00:00+00:00"},
        {"neurons": [{"uid": 1}]},
        {"neurons": [{"uid": 1, "hotkey": "5A", "validator_permit": True, "stake": float("nan")}]},
        {"extra": 1},
        {"taken_at": 5},
    ],
)
def test_read_snapshot__refuses_other_files(tmp_path, change):
    path = tmp_path / "s.json"
    path.write_text(json.dumps({**snapshot().to_dict(), **change}))
    with pytest.raises(ChainError, match="streetvision metagraph refresh"):
        read_snapshot(path)
