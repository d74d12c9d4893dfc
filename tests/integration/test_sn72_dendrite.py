"""The genuine dendrites of bittensor 9.12.2 and 10.5.0, each in an environment of its own, ask our server."""

import base64
import json
import os
import re
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import httpx
import numpy as np
import pytest

from streetvision_core.images.decode import encode_jpeg
from streetvision_core.mining.querylog import QueryLog
from streetvision_core.serving.app import create_app
from streetvision_core.serving.protocols.sn72.keys import KeyPair, load_or_make_key
from streetvision_core.serving.protocols.sn72.snapshot import Neuron, Snapshot, write_snapshot
from streetvision_core.serving.run import in_background
from streetvision_core.serving.stub import StubEngine
from streetvision_core.settings import load_settings

ROOT = Path(__file__).parents[2]
UNREACHABLE = re.compile(
    r"dns error|error sending request|Connection refused|timed out|NewConnectionError|Temporary fail"
)
SEEDS = {name: bytes([i] * 32) for i, name in enumerate(("receiver", "validator", "miner", "stranger"), 1)}
SLOW_SIDE = 72
MAX_BODY = 1_000_000


def picture(brightness, side=64):
    return encode_jpeg(np.full((side, side, 3), brightness, np.uint8))


def as_base64(data):
    return base64.b64encode(data).decode()


class Engine(StubEngine):
    """Thinks for a while about images of one size."""

    def predict(self, frames):
        if any(frame.width == SLOW_SIDE for frame in frames):
            time.sleep(2.5)
        return super().predict(frames)


def python_of(name):
    """The interpreter of an environment, made now if need be; the test is skipped where no registry can be reached."""
    made = subprocess.run(
        [ROOT / "envs" / "make.sh", name],
        env={**os.environ, "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode and UNREACHABLE.search(made.stderr):
        pytest.skip(f"no package registry can be reached: {made.stderr[-200:]}")
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


def make_settings(home):
    base = load_settings("embedded")
    sn72 = {
        "hotkey": KeyPair.from_seed(SEEDS["receiver"]).address,
        "max_body_bytes": MAX_BODY,
        "burst_queries": 100,
        # a busy machine is slow to send fifty queries, and to receive an answer
        "nonce_past_seconds": 40.0,
        "margin_seconds": 2.0,
    }
    return base.model_copy(
        update={
            "paths": base.paths.model_copy(update={"home": home}),
            "sn72": base.sn72.model_copy(update=sn72),
        }
    )


def make_snapshot(settings):
    def address(name):
        return KeyPair.from_seed(SEEDS[name]).address

    neurons = (Neuron(0, address("validator"), True, 1000.0), Neuron(1, address("miner"), False, 1.0))
    snapshot = Snapshot("test", 323, 1, datetime.now(UTC), "", 360, neurons)
    write_snapshot(settings.paths.resolve("data") / "chain" / "metagraph.json", snapshot)


@pytest.fixture(scope="module", params=["bt9", "bt10"])
def asked(request, tmp_path_factory):
    """What came of every case, by its name, and the server's metrics afterwards."""
    python = python_of(request.param)
    home = tmp_path_factory.mktemp(request.param)
    settings = make_settings(home)
    make_snapshot(settings)
    log = QueryLog(home / "queries")
    app = create_app(Engine(), settings, log)
    key_file = home / "hotkey"
    made = load_or_make_key(key_file)
    text = "1.5A.5B.u.h"
    images = [as_base64(picture(brightness)) for brightness in (10, 60, 160, 200, 250)]
    with in_background(app) as url:
        wait_ready(url)
        plan = {
            "port": int(url.rsplit(":", 1)[1]),
            "receiver": settings.sn72.hotkey,
            "seeds": {name: f"0x{seed.hex()}" for name, seed in SEEDS.items()},
            "images": images,
            "slow_image": as_base64(picture(128, SLOW_SIDE)),
            "too_large": MAX_BODY + 1,
            "signed": {
                "text": text,
                "signature": f"0x{KeyPair.from_seed(SEEDS['validator']).sign(text.encode()).hex()}",
            },
            "key_file": str(key_file),
        }
        (home / "plan.json").write_text(json.dumps(plan))
        script = Path(__file__).with_name("sn72_dendrite.py")
        # importing bittensor makes a folder in the home directory
        environment = {"PATH": os.environ["PATH"], "HOME": str(home), "BT_LOGGING_LOGGING_DIR": str(home)}
        done = subprocess.run(
            [python, script, home / "plan.json"], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-3000:]
        lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        settle(url)
        metrics = app.state.metrics.registry
    with QueryLog(home / "queries") as written:
        rows = written.rows()
    cases = {line["case"]: line for line in lines}
    return SimpleNamespace(cases=cases, metrics=metrics, made=made, plan=plan, rows=rows)


def wait_ready(url):
    ends = time.monotonic() + 20
    while httpx.get(f"{url}/health/ready", trust_env=False).status_code != 200:
        assert time.monotonic() < ends
        time.sleep(0.02)


def settle(url):
    ends = time.monotonic() + 20
    while "\nsv_queue_depth 0.0" not in httpx.get(f"{url}/metrics", trust_env=False).text:
        assert time.monotonic() < ends, "a place was not freed"
        time.sleep(0.02)


def test_valid__is_answered_and_the_synapse_is_whole(asked):
    case = asked.cases["valid"]
    assert (case["status"], case["message"], case["success"]) == (200, "Success", True)
    assert 0 < case["prediction"] < 0.5
    assert case["label"] == 1
    assert case["receiver"] == asked.plan["receiver"]
    assert case["sender"] == KeyPair.from_seed(SEEDS["validator"]).address
    assert 0 < case["server_seconds"] < 9


@pytest.mark.parametrize(
    ("name", "status", "message", "reason"),
    [
        ("body exchanged", 400, "Bad request", "body-hash"),
        ("forged signature", 401, "Not verified", "signature"),
        ("missing signature", 401, "Not verified", "unsigned"),
        ("missing nonce", 401, "Not verified", "unsigned"),
        ("replay", 401, "Not verified", "nonce-replayed"),
        ("stale nonce", 401, "Not verified", "nonce-old"),
        ("future nonce", 401, "Not verified", "nonce-future"),
        ("other receiver", 401, "Not verified", "receiver"),
        ("old version", 400, "Bad request", "version"),
        ("endless timeout", 400, "Bad request", "timeout"),
        ("unknown hotkey", 403, "Forbidden", "hotkey-unknown"),
        ("non-validator", 403, "Forbidden", "no-permit"),
        ("oversized body", 413, "Body too large", "size"),
        ("garbage image", 400, "Bad request", "image"),
        ("no base64", 400, "Bad request", "body"),
        ("deadline", 408, "Timed out", "deadline"),
    ],
)
def test_refused__with_its_status_and_nothing_more(asked, name, status, message, reason):
    case = asked.cases[name]
    assert (case["status"], case["message"], case["prediction"]) == (status, message, -1.0)
    assert (case["unverified"], case["blacklisted"]) == (status == 401, status == 403)
    assert asked.metrics.get_sample_value("sv_sn72_rejects_total", {"reason": reason}) >= 1


@pytest.mark.parametrize("name", ["extended class", "body hash signed", "before replay", "after all"])
def test_other_forms__are_answered(asked, name):
    assert asked.cases[name]["status"] == 200
    assert asked.cases[name]["prediction"] == asked.cases["valid"]["prediction"]


def test_fifty_in_parallel__are_all_answered_each_with_its_own(asked):
    case = asked.cases["parallel"]
    assert case["statuses"] == [200] * 50
    assert len(set(case["predictions"])) == len(asked.plan["images"])
    assert case["predictions"] == case["predictions"][:5] * 10


def test_hang_up__frees_the_place(asked):
    assert asked.cases["hang up"]["left"]
    assert asked.metrics.get_sample_value("sv_sn72_rejects_total", {"reason": "client-gone"}) == 1
    assert asked.metrics.get_sample_value("sv_queue_depth") == 0


def test_keys__are_those_of_the_genuine_wallet(asked):
    case = asked.cases["keys"]
    assert case["addresses"] == {name: KeyPair.from_seed(seed).address for name, seed in SEEDS.items()}
    assert case["ours_verified"]
    assert case["our_file"] == asked.made.address


def test_log_and_metrics__know_who_asked(asked):
    validator = KeyPair.from_seed(SEEDS["validator"]).address
    answered = asked.metrics.get_sample_value("sv_requests_total", {"protocol": "sn72", "status": "200"})
    assert answered == 55
    assert asked.metrics.get_sample_value("sv_sn72_queries_total", {"validator": validator}) >= answered
    assert {row.origin for row in asked.rows} == {"sn72"}
    assert len(asked.rows) == answered
