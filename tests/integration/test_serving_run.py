"""`serve` as a process of its own: what an operator starts and stops."""

import os
import re
import signal
import subprocess
import sys
import time

import httpx
import numpy as np
import pytest

from streetvision_core.errors import ServingError
from streetvision_core.images.decode import encode_jpeg
from streetvision_core.mining.querylog import QueryLog
from streetvision_core.registry.versions import Registry
from streetvision_core.serving.run import serve
from streetvision_core.settings import load_settings

PROGRAM = """
from streetvision_core.serving.run import serve
from streetvision_core.serving.stub import StubEngine
from streetvision_core.settings import load_settings
serve(load_settings(), port=0, load=lambda version: StubEngine(version.name, seconds_per_image=0.01))
"""


def picture(value):
    return encode_jpeg(np.full((32, 48, 3), value, np.uint8))


class Process:
    """A running `serve` over a workspace that has a champion."""

    def __init__(self, home):
        registry = Registry(home / "data" / "models")
        self.champion = registry.create({"head.json": b"{}"}, {}).name
        registry.install_first(self.champion, by="a test")
        environment = {**os.environ, "SV_PATHS__HOME": str(home), "SV_PROFILE": "embedded", "NO_COLOR": "1"}
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
        for _ in range(200):
            response = httpx.post(f"{self.url}/v1/predict", content=picture(value), trust_env=False)
            if response.status_code != 503:
                return response.json()
            time.sleep(0.05)
        raise AssertionError("never ready")

    def stop(self, how):
        self.process.send_signal(how)
        rest, _ = self.process.communicate(timeout=30)
        return self.process.returncode, "".join(self.lines) + rest


@pytest.fixture
def process(tmp_path):
    started = Process(tmp_path)
    yield started
    started.process.kill()
    started.process.communicate()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_serve__says_where_it_listens_and_stops_gracefully(process, tmp_path, how):
    answers = [process.answer(10 * i) for i in range(12)]
    code, output = process.stop(how)
    assert code == 0, output
    assert process.champion in output.splitlines()[0]
    assert "stopped" in output.splitlines()[-1]
    assert {a["model_version"] for a in answers} == {process.champion}
    with QueryLog(tmp_path / "data" / "queries") as log:
        assert [r.sha256 for r in log.rows()] == [a["sha256"] for a in answers]


def test_serve__killed_hard_loses_nothing_it_counted_as_written(process, tmp_path):
    for i in range(12):
        process.answer(10 * i)
    metrics = httpx.get(f"{process.url}/metrics", trust_env=False).text
    written = float(re.search(r"^sv_log_written_total (\S+)", metrics, re.MULTILINE).group(1))
    process.stop(signal.SIGKILL)
    with QueryLog(tmp_path / "data" / "queries") as log:
        assert log.counts().queries >= written
        assert log.check().ok


def test_serve__port_in_use_is_named(process):
    port = int(process.url.rsplit(":", 1)[1])
    with pytest.raises(ServingError, match="choose another --port"):
        serve(load_settings(), port=port)
