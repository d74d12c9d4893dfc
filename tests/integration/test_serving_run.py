"""`serve` as an operator starts and stops it: a gateway process and its model server process."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from streetvision_core.errors import ServingError
from streetvision_core.images.decode import encode_jpeg
from streetvision_core.mining.querylog import QueryLog
from streetvision_core.registry.decision import Override
from streetvision_core.registry.versions import Registry
from streetvision_core.serving._listening import listen_at
from streetvision_core.serving.reload import UNREADABLE
from streetvision_core.serving.run import serve, serve_model
from streetvision_core.serving.stub import StubEngine
from streetvision_core.settings import load_settings

MODEL = """
import sys
from streetvision_core.serving.run import serve_model
from streetvision_core.serving.stub import StubEngine
from streetvision_core.settings import Settings
settings = Settings.model_validate_json(sys.stdin.readline())
serve_model(settings, sys.argv[1], lambda version: StubEngine(version.name, seconds_per_image=0.01), supervised=True)
"""
PROGRAM = f"""
import sys
from streetvision_core.serving.run import serve
from streetvision_core.settings import load_settings
serve(load_settings(), port=0, command=[sys.executable, "-u", "-c", {MODEL!r}])
"""
GATEWAY_BYTES = 150e6
"""The budget of DESIGN.md, section 5."""


def picture(value):
    return encode_jpeg(np.full((32, 48, 3), value, np.uint8))


def wait_until(condition, seconds=60):
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, "waited in vain"
        time.sleep(0.02)


class Process:
    """A running `serve` over a workspace that has a champion."""

    def __init__(self, home):
        registry = Registry(home / "data" / "models")
        if registry.promotions.salvage():
            self.champion = registry.promotions.salvage()[-1].version
        else:
            self.champion = registry.create({"head.json": b"{}"}, {}).name
            registry.install_first(self.champion, by="a test")
        environment = {
            **os.environ,
            "SV_PATHS__HOME": str(home),
            "SV_PROFILE": "embedded",
            "SV_SERVING__LOOK_SECONDS": "0.1",
            "SV_SERVING__CACHE_ENTRIES": "0",
            "SV_SERVING__DEADLINE_SECONDS": "60",  # a crowded machine takes long to start a process
            "NO_COLOR": "1",
        }
        self.process = subprocess.Popen(
            [sys.executable, "-u", "-c", PROGRAM], stdout=subprocess.PIPE, text=True, env=environment
        )
        self.lines = []
        self.url = self.wait_for_url()

    def wait_for_url(self):
        for line in self.process.stdout:
            self.lines.append(line)
            if found := re.search(r"http://[\d.]+:\d+", line):
                return found.group()
        raise AssertionError("".join(self.lines))

    def answer(self, value):
        for _ in range(2000):
            response = httpx.post(f"{self.url}/v1/predict", content=picture(value), trust_env=False)
            if response.status_code != 503:
                return response.json()
            time.sleep(0.05)
        raise AssertionError("never ready")

    def model(self):
        """Process id of the model server."""
        pid = str(self.process.pid)
        found = subprocess.run(["pgrep", "-P", pid], capture_output=True, text=True, check=False)
        return int(found.stdout.split()[0]) if found.stdout else None

    def metric(self, pattern):
        text = httpx.get(f"{self.url}/metrics", trust_env=False).text
        return float(re.search(rf"^{pattern} (\S+)", text, re.MULTILINE).group(1))

    def resident_bytes(self):
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return 1024 * int(re.search(r"VmRSS:\s+(\d+) kB", text).group(1))

    def stop(self, how):
        self.process.send_signal(how)
        rest, _ = self.process.communicate(timeout=30)
        return self.process.returncode, "".join(self.lines) + rest


@pytest.fixture
def start():
    """Starts servers; ends them whatever happens."""
    started = []

    def start(home):
        started.append(Process(home))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.communicate()


@pytest.fixture
def process(tmp_path):
    started = Process(tmp_path)
    yield started
    started.process.kill()
    started.process.communicate()


def test_serve__survives_its_model_server_and_stops_gracefully(process, tmp_path):
    first = [process.answer(10 * i) for i in range(20)]
    expected = {10 * i: answer["p_roadwork"] for i, answer in enumerate(first)}
    assert process.resident_bytes() < GATEWAY_BYTES
    with pytest.raises(ServingError, match="choose another --port"):
        serve(load_settings(), port=int(process.url.rsplit(":", 1)[1]))
    model, outcomes = process.model(), []

    def ask(value):
        response = httpx.post(f"{process.url}/v1/predict", content=picture(value), trust_env=False, timeout=90)
        outcomes.append((response.status_code, response.json().get("p_roadwork") == expected[value]))

    with ThreadPoolExecutor(8) as pool:
        jobs = [pool.submit(ask, value) for value in expected for _ in range(3)]
        wait_until(lambda: len(outcomes) > 10)
        os.kill(model, signal.SIGKILL)
        for job in jobs:
            job.result()
    assert outcomes == [(200, True)] * 60
    assert process.metric(r'sv_model_server_restarts_total\{server="[^"]*"\}') == 1
    assert process.model() not in (None, model)
    code, output = process.stop(signal.SIGTERM)
    assert code == 0, output
    assert "stopped" in output.splitlines()[-1]
    assert {a["model_version"] for a in first} == {process.champion}
    with QueryLog(tmp_path / "data" / "queries") as log:
        rows = log.rows()
    assert [r.sha256 for r in rows][:20] == [a["sha256"] for a in first]
    assert len(rows) == 80


def test_serve__killed_hard_loses_nothing_it_counted_as_written_and_leaves_nobody_behind(process, tmp_path):
    for i in range(12):
        process.answer(10 * i)
    written, model = process.metric("sv_log_written_total"), process.model()
    process.stop(signal.SIGKILL)
    with QueryLog(tmp_path / "data" / "queries") as log:
        assert log.counts().queries >= written
        assert log.check().ok
    wait_until(lambda: not Path(f"/proc/{model}").exists())


@pytest.mark.parametrize("harm", ["a file of the champion", "the history"])
def test_serve__restarted_over_a_damaged_champion_the_earlier_one_answers_and_says_so(start, tmp_path, harm):
    registry = Registry(tmp_path / "data" / "models")
    first, second = (registry.create({"head.json": content}, {}).name for content in (b"{}", b"[]"))
    registry.install_first(first, by="a test")
    registry.promote(second, Override("a test", "to damage it later"))
    if harm == "the history":
        path = registry.promotions.path
        path.write_bytes(path.read_bytes().splitlines(keepends=True)[0] + b"{}\n")
        instead_of = UNREADABLE
    else:
        (registry.root / second / "head.json").write_bytes(b"damaged")
        instead_of = second
    process = start(tmp_path)
    assert process.answer(7)["model_version"] == first
    ready = httpx.get(f"{process.url}/health/ready", trust_env=False)
    assert (ready.status_code, ready.json()["instead_of"]) == (200, instead_of)
    assert process.metric(rf'sv_model_stand_in\{{instead_of="{instead_of}",server="[^"]*",version="{first}"\}}') == 1
    _, output = process.stop(signal.SIGTERM)
    assert "an earlier version stands in" in output


def test_serve__follows_a_pin_of_the_registry(process, tmp_path):
    registry = Registry(tmp_path / "data" / "models")
    second = registry.create({"head.json": b"[]"}, {}).name
    registry.promote(second, Override("a test", "to pin the first"))
    wait_until(lambda: process.answer(1)["model_version"] == second)
    registry.pin(process.champion, "a test", "as shown at the fair")
    wait_until(lambda: process.answer(1)["model_version"] == process.champion)


def test_serve_model__never_takes_the_socket_of_another_server_nor_deletes_a_file(tmp_path):
    path = tmp_path / "model.sock"
    with listen_at(f"unix:{path}"):
        with pytest.raises(ServingError, match="which another server listens on"):
            listen_at(f"unix:{path}")
        with socket.socket(socket.AF_UNIX) as caller:
            caller.connect(str(path))  # the first one is still there
    assert path.is_socket(), "what a kill leaves behind"
    with listen_at(f"unix:{path}"):
        pass
    for name, make in (("file", Path.touch), ("folder", Path.mkdir)):
        there = tmp_path / name
        make(there)
        with pytest.raises(ServingError, match="which is no socket and stays as it is"):
            listen_at(f"unix:{there}")
        assert there.exists()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "file")
    with pytest.raises(ServingError, match="which is no socket"):
        listen_at(f"unix:{link}")


def test_serve_model__a_second_one_on_the_same_socket_ends_with_a_named_error(start, tmp_path):
    process = start(tmp_path)
    process.answer(1)
    model = process.model()
    words = Path(f"/proc/{model}/cmdline").read_bytes().split(b"\0")
    address = next(word.decode() for word in words if word.startswith(b"unix:"))
    with pytest.raises(ServingError, match="which another server listens on"):
        serve_model(load_settings(), address, StubEngine)
    assert process.answer(2)["model_version"] == process.champion


def test_serve__secrets_reach_the_model_server_whole(tmp_path):
    program = "import sys; from streetvision_core.settings import Settings\n" + (
        "s = Settings.model_validate_json(sys.stdin.readline())\n"
        "print(s.vlm.api_key.get_secret_value(), s.loop.notify_urls[0].get_secret_value(), s.vlm.url,"
        " s.serving.cache_url.get_secret_value())"
    )
    base = load_settings()
    settings = base.model_copy(
        update={
            "vlm": base.vlm.model_copy(update={"api_key": SecretStr("k-1"), "url": "http://me:pw@host/v1"}),
            "loop": base.loop.model_copy(update={"notify_urls": (SecretStr("discord://id/t-2"),)}),
            "serving": base.serving.model_copy(update={"cache_url": SecretStr("redis://:p-3@host/0")}),
        }
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=settings.to_child_json() + "\n",
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["k-1", "discord://id/t-2", "http://me:pw@host/v1", "redis://:p-3@host/0"]
    shown = settings.model_dump_json() + repr(settings)
    assert not [secret for secret in ("k-1", "t-2", "p-3") if secret in shown]
    assert "me:pw" not in settings.model_dump_json()


@pytest.mark.parametrize(("address", "warned"), [("http://0.0.0.0:0", True), ("http://127.0.0.1:0", False)])
def test_serve_model__a_public_address_is_named(monkeypatch, tmp_path, address, warned):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        address = address.removesuffix("0") + str(probe.getsockname()[1])
    monkeypatch.setenv("SV_PATHS__HOME", str(tmp_path))
    monkeypatch.setattr("streetvision_core.serving.run._Server.run", lambda *_, **__: None)
    with capture_logs() as lines:
        serve_model(load_settings(), address, StubEngine)
    assert any("has no keys" in line["event"] for line in lines) is warned
