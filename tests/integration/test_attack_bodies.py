"""What bodies can do to a running server: promises, trickles, trees of JSON, parts, many images of one caller."""

import base64
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from streetvision_core.serving.access import KeyRule
from streetvision_core.serving.gateway_app import create_gateway_app
from streetvision_core.serving.keys import KeyFile
from streetvision_core.serving.metrics import Metrics
from streetvision_core.serving.model_metrics import ModelMetrics
from streetvision_core.serving.model_side import ModelSide
from streetvision_core.serving.run import in_background
from streetvision_core.serving.stub import StubEngine
from tests.integration.test_attack_connections import connect, resident_bytes
from tests.integration.test_serving import Server, picture, settings_with, wait_for

MIB = 2**20
HEAD = b"POST /v1/predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n"


@contextmanager
def running(engine=None, keys=None, **serving):
    settings, metrics = settings_with(**serving), Metrics()
    model = ModelSide(engine or StubEngine(), settings, ModelMetrics(metrics.registry))
    app = create_gateway_app(model.backend, settings, metrics, sides=(model,), keys=keys)
    with in_background(app) as url:
        yield Server(app, url)


@pytest.fixture(scope="module")
def server():
    with running(cache_entries=0) as started:
        yield started


class Health:
    """Asks for health all the time, and remembers the longest wait."""

    def __init__(self, server):
        self._client = httpx.Client(base_url=server.url, timeout=30, trust_env=False)
        self._thread = threading.Thread(target=self._ask)
        self._ends = threading.Event()
        self.longest = 0.0
        self.asked = 0

    def _ask(self):
        while not self._ends.is_set():
            started = time.monotonic()
            assert self._client.get("/health/live").status_code == 200
            self.longest = max(self.longest, time.monotonic() - started)
            self.asked += 1
            time.sleep(0.01)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ends.set()
        self._thread.join()


def bombs():
    pairs = 20 * MIB
    yield "lists", b'{"images":[' + b"[]," * pairs + b"[]]}"
    yield "objects", b'{"images":[' + b'{"a":{}},' * (pairs // 3) + b"1]}"
    yield "texts", b'{"images":[' + b'"",' * pairs + b'""]}'
    yield "numbers", b'{"images":[' + b"0," * (3 * pairs // 2) + b"0]}"
    yield "names", b"{" + b",".join(b'"%d":1' % i for i in range(2_000_000)) + b"}"
    yield "depth", b'{"images":' + b"[" * 30 * MIB
    yield "number", b'{"images":' + b"9" * 60 * MIB + b"}"


@pytest.mark.parametrize(("name", "body"), bombs(), ids=lambda value: value if isinstance(value, str) else "")
def test_json_bomb__no_tree_is_built_and_nobody_waits(server, name, body):
    before = resident_bytes()
    with Health(server) as health:
        response = server.client.post("/v1/predict", content=body, headers={"content-type": "application/json"})
    assert (response.status_code, response.json()["error"]) == (400, "RequestError")
    assert health.longest < 2.0  # 16 s before; a busy machine takes some of it
    assert resident_bytes() - before < 400 * MIB  # the body itself, read and joined; 3.2 GB before


def test_json__one_large_image_is_still_read(server):
    data = picture(1) + bytes(9 * MIB)
    body = json.dumps({"images": [base64.b64encode(data).decode()] * 3}).encode()
    response = server.client.post("/v1/predict", content=body, headers={"content-type": "application/json"})
    assert response.status_code in (200, 400)
    assert "no JSON" not in response.text


@pytest.mark.parametrize("kind", ["headers", "one-header"])
def test_multipart__headers_of_a_part_are_bounded(server, kind):
    lines = b"a: b\r\n" * (8 * MIB) if kind == "headers" else b"a: " + b"b" * (48 * MIB) + b"\r\n"
    body = b"--x\r\n" + lines + b"\r\nhello\r\n--x--\r\n"
    headers = {"content-type": "multipart/form-data; boundary=x"}
    with Health(server) as health:
        started = time.monotonic()
        response = server.client.post("/v1/predict", content=body, headers=headers)
        assert time.monotonic() - started < 8
    assert response.status_code == 400
    assert "Maximum header" in response.json()["got"]
    assert health.longest < 2.0


def test_promises__hold_no_memory_and_nobody_up():
    """Four callers that declare a length and send nothing: before, honest ones got 300 times 429 and 3 answers."""
    with running(cache_entries=0, max_bytes_in_flight=64 * MIB) as server, ExitStack() as stack:
        for _ in range(4):
            stack.enter_context(connect(server)).sendall(HEAD % (15 * MIB))
        time.sleep(0.2)
        assert server.value("sv_bytes_in_flight") == 0
        assert [server.post(picture(i)).status_code for i in range(100)] == [200] * 100


def test_trickle__is_refused_after_two_seconds():
    with running() as server, connect(server) as line:
        line.sendall(HEAD % 1_000_000)
        started = time.monotonic()
        answer = b""
        line.settimeout(0.1)
        while not answer and time.monotonic() - started < 8:
            line.sendall(b"x" * 100)
            try:
                answer = line.recv(4096)
            except TimeoutError:
                continue
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert 1.9 < time.monotonic() - started < 5
        wait_for(lambda: server.value("sv_bytes_in_flight") == 0)


def test_slow_but_steady__is_read():
    """A telephone at 40 kB a second."""
    data = picture(1) + bytes(100_000)
    with running() as server, connect(server) as line:
        line.sendall(HEAD % len(data))
        for start in range(0, len(data), 4000):
            line.sendall(data[start : start + 4000])
            time.sleep(0.1)
        assert line.recv(4096).startswith((b"HTTP/1.1 200 ", b"HTTP/1.1 400 "))


@pytest.fixture
def two_keys(tmp_path):
    file = KeyFile(tmp_path / "keys.json")
    return KeyRule(file), file.add("greedy", 10_000.0), file.add("modest", 10_000.0)


def test_two_callers__the_modest_one_is_answered(two_keys):
    """Sixteen images at a time on six connections: before, another key got 1 answer and 107 times 429 in 40 s."""
    rule, greedy, modest = two_keys
    engine = StubEngine(seconds_per_image=0.05)
    with running(engine, rule, cache_entries=0, key_burst=10_000) as server:
        ends = time.monotonic() + 8
        counts = {"greedy": [0, 0], "modest": [0, 0]}

        def flood(number):
            files = [("file", (f"{i}.jpg", picture(100 * number + i))) for i in range(16)]
            with httpx.Client(base_url=server.url, timeout=30, trust_env=False) as client:
                while time.monotonic() < ends:
                    status = client.post("/v1/predict", files=files, headers={"x-api-key": greedy}).status_code
                    counts["greedy"][status != 200] += 1
                    if status != 200:
                        time.sleep(0.02)

        with ThreadPoolExecutor(6) as pool:
            jobs = [pool.submit(flood, number) for number in range(6)]
            time.sleep(0.5)
            while time.monotonic() < ends:
                response = server.post(picture(1), **{"x-api-key": modest})
                counts["modest"][response.status_code != 200] += 1
                if response.status_code == 429:
                    time.sleep(0.2)
            for job in jobs:
                job.result()
        assert counts["modest"][0] >= 5
        assert counts["modest"][0] > counts["modest"][1]
        assert counts["greedy"][0] > 0


def test_many_images__are_answered_whole_or_refused_at_once(two_keys):
    rule, greedy, _ = two_keys
    engine = StubEngine(seconds_per_image=0.2)
    with running(engine, rule, cache_entries=0, key_burst=10_000, deadline_seconds=2.0) as server:
        key = {"x-api-key": greedy}
        for i in range(6):
            assert server.post(picture(i), **key).status_code == 200
        files = [("file", (f"{i}.jpg", picture(50 + i))) for i in range(16)]
        started = time.monotonic()
        refused = server.client.post("/v1/predict", files=files, headers=key)
        assert time.monotonic() - started < 1.0
        assert (refused.status_code, refused.json()["error"]) == (429, "OverloadedError")
        assert "would take" in refused.json()["got"]
        whole = server.client.post("/v1/predict", files=files[:5], headers=key)
        assert whole.status_code == 200
        assert all("p_roadwork" in result for result in whole.json()["results"])


def test_many_images__a_late_one_is_no_half_answer():
    """Nothing is known of the pace yet, so it is tried, and fails as a whole."""
    with running(StubEngine(seconds_per_image=0.3), cache_entries=0, deadline_seconds=1.0, batch_images=1) as server:
        files = [("file", (f"{i}.jpg", picture(i))) for i in range(12)]
        late = server.client.post("/v1/predict", files=files)
        assert (late.status_code, late.json()["error"]) == (503, "DeadlineError")


def test_rate__counts_images_not_requests(tmp_path):
    file = KeyFile(tmp_path / "keys.json")
    key = {"x-api-key": file.add("alice", 2.0)}
    with running(keys=KeyRule(file), key_burst=10) as server:
        files = [("file", (f"{i}.jpg", picture(i))) for i in range(14)]
        assert server.client.post("/v1/predict", files=files, headers=key).status_code == 200
        refused = server.post(picture(1), **key)
        assert (refused.status_code, refused.json()["error"]) == (429, "RateLimitError")
        assert int(refused.headers["retry-after"]) >= 2  # four images too many, at two a second


def test_one_video_per_caller():
    body = Path(__file__).read_bytes()
    with running() as server, connect(server) as line:
        head = f"POST /v1/predict/video HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n\r\n"
        line.sendall(head.encode() + body[:100])
        time.sleep(0.2)
        second = server.client.post("/v1/predict/video", content=body, headers={"content-type": "video/mp4"})
        assert (second.status_code, second.json()["error"]) == (429, "OverloadedError")
        line.sendall(body[100:])
        assert line.recv(4096).startswith(b"HTTP/1.1 4")
        third = server.client.post("/v1/predict/video", content=body, headers={"content-type": "video/mp4"})
        assert third.status_code in (400, 415, 501)
