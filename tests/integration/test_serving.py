"""The whole server over real sockets, with a small engine that is a function of the pixels."""

import base64
import io
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest
from jsonschema import Draft202012Validator
from PIL import Image

from streetvision_core.mining.querylog import QueryLog
from streetvision_core.registry.decision import Override
from streetvision_core.registry.versions import Registry
from streetvision_core.serving.app import create_app
from streetvision_core.serving.protocols.openapi import describe
from streetvision_core.serving.reload import RegistryChampions
from streetvision_core.serving.replay import ReplayImage, replay
from streetvision_core.serving.run import in_background
from streetvision_core.serving.stub import StubEngine
from streetvision_core.settings import load_settings

JPEG = {"content-type": "image/jpeg"}


def picture(seed, kind="JPEG", width=64, height=48):
    rng = np.random.default_rng(seed)
    pixels = np.clip(rng.integers(0, 255) + rng.normal(0, 20, (height, width, 3)), 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def settings_with(**serving):
    base = load_settings("embedded")
    return base.model_copy(update={"serving": base.serving.model_copy(update=serving)})


def wait_for(condition, seconds=10.0):
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, "waited in vain"
        time.sleep(0.01)


class Server:
    """A running server, a client to it and its metrics."""

    def __init__(self, app, url, ready=True):
        self.url, self.metrics = url, app.state.metrics
        self.client = httpx.Client(base_url=url, timeout=20, trust_env=False)
        wait_for(lambda: not ready or self.client.get("/health/ready").status_code == 200)

    def post(self, data, params=None, **headers):
        return self.client.post("/v1/predict", content=data, headers={**JPEG, **headers}, params=params)

    def value(self, name, **labels):
        return self.metrics.registry.get_sample_value(name, labels) or 0


class GatedEngine(StubEngine):
    """Answers once its gate is open."""

    def __init__(self):
        super().__init__("gated")
        self.gate, self.entered = threading.Event(), threading.Event()
        self.gate.set()

    def hold(self):
        self.gate.clear()
        self.entered.clear()

    def predict(self, frames):
        self.entered.set()
        assert self.gate.wait(20)
        return super().predict(frames)


@pytest.fixture
def start():
    """Starts servers that end with the test."""
    from contextlib import ExitStack

    with ExitStack() as stack:

        def begin(engine, log=None, champions=None, **serving):
            app = create_app(engine, settings_with(**serving), log, champions)
            return Server(app, stack.enter_context(in_background(app)))

        yield begin


@pytest.fixture(scope="module")
def server():
    app = create_app(StubEngine(), settings_with(max_body_bytes=300_000, max_images=4, cache_entries=0))
    with in_background(app) as url:
        yield Server(app, url)


PDF = b"%PDF-1.7\n"
MULTI = "multipart/form-data; boundary=x"


@pytest.mark.parametrize(
    ("body", "content_type", "status", "error"),
    [
        (b"", "image/jpeg", 400, "ImageBrokenError"),
        (picture(1)[:400], "image/jpeg", 400, "ImageBrokenError"),
        (picture(1, "PNG")[:-30], "image/png", 400, "ImageBrokenError"),
        (b"\xff\xd8\xff" + b"\0" * 500, "image/jpeg", 400, "ImageBrokenError"),
        (b"hello", "image/jpeg", 415, "ImageFormatError"),
        (PDF, "image/jpeg", 415, "ImageFormatError"),
        (PDF, "image/svg+xml", 415, "ImageFormatError"),
        (picture(1), "text/plain", 415, "ImageFormatError"),
        (b"a=b", "application/x-www-form-urlencoded", 415, "ImageFormatError"),
        (b"\xff" * 300_001, "image/jpeg", 413, "ImageTooLargeError"),
        (b"{", "application/json", 400, "RequestError"),
        (b'{"image": "?"}', "application/json", 400, "RequestError"),
        (b'{"image": ""}', "application/json", 400, "ImageBrokenError"),
        (b'{"images": ["JVBERi0xLjc="]}', "application/json", 415, "ImageFormatError"),
        (json.dumps({"images": ["YQ=="] * 5}).encode(), "application/json", 413, "ImageTooLargeError"),
        (b"nonsense", MULTI, 400, "RequestError"),
        (b"--x--\r\n", MULTI, 400, "RequestError"),
    ],
)
def test_predict__bad_input_has_a_name_and_a_status(server, body, content_type, status, error):
    response = server.client.post("/v1/predict", content=body, headers={"content-type": content_type})
    assert (response.status_code, response.json()["error"]) == (status, error)
    document = {**describe(), "$ref": "#/components/schemas/Error"}
    assert list(Draft202012Validator(document).iter_errors(response.json())) == []


@pytest.mark.parametrize(
    ("params", "headers", "text"),
    [
        ({"evidence": "perhaps"}, {}, "evidence"),
        ({}, {"x-deadline-seconds": "soon"}, "soon"),
        ({}, {"x-deadline-seconds": "nan"}, "nan"),
        ({}, {"x-deadline-seconds": "-1"}, "-1"),
    ],
)
def test_predict__bad_options(server, params, headers, text):
    response = server.post(picture(1), params, **headers)
    assert response.status_code == 400
    assert text in response.json()["got"]


def test_predict__too_large_is_refused_before_the_body_is_sent(server):
    with socket.create_connection(("127.0.0.1", int(server.url.rsplit(":", 1)[1])), timeout=10) as line:
        line.sendall(
            b"POST /v1/predict HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            b"Content-Type: image/jpeg\r\nContent-Length: 999999999\r\n\r\n"
        )
        answer = line.recv(4096)  # not one byte of the body was sent
    assert answer.startswith(b"HTTP/1.1 413")


def test_predict__too_large_without_a_declared_size(server):
    response = server.client.post("/v1/predict", content=(b"\xff" * 50_000 for _ in range(100)), headers=JPEG)
    assert response.status_code == 413


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_predict__formats_and_evidence(server, kind):
    data = picture(3, kind)
    response = server.client.post("/v1/predict?evidence=true", content=data)
    document = {**describe(), "$ref": "#/components/schemas/Verdict"}
    assert list(Draft202012Validator(document).iter_errors(response.json())) == []
    assert response.json()["evidence"]
    assert (response.json()["width"], response.json()["height"]) == (64, 48)
    assert response.headers["cache-control"] == "no-store"


def test_predict__three_ways_of_sending_give_one_answer(server):
    data = picture(5)
    raw = server.post(data).json()
    (form,) = server.client.post("/v1/predict", files={"file": ("a.jpg", data)}).json()["results"]
    text = base64.b64encode(data).decode()
    one = server.client.post("/v1/predict", json={"image": text}).json()
    for other in (form, one):
        assert (other["p_roadwork"], other["sha256"]) == (raw["p_roadwork"], raw["sha256"])


def test_predict__several_files_keep_their_order_and_their_own_errors(server):
    files = [("file", (f"{i}.jpg", picture(i))) for i in range(3)] + [("file", ("bad.jpg", b"bad"))]
    results = server.client.post("/v1/predict", files=files).json()["results"]
    assert [r["name"] for r in results] == ["0.jpg", "1.jpg", "2.jpg", "bad.jpg"]
    assert [r["p_roadwork"] for r in results[:3]] == [server.post(picture(i)).json()["p_roadwork"] for i in range(3)]
    assert results[3]["status"] == 415


def test_other_paths__are_json_too(server):
    assert server.client.get("/v1/predict").status_code == 405
    assert server.client.get("/nothing").json()["do"] == "POST an image to /v1/predict"
    assert server.client.get("/openapi.json").json() == describe()
    assert server.client.get("/health/live").json() == {"status": "live"}
    assert "sv_stage_latency_seconds_bucket" in server.client.get("/metrics").text


def test_predict__fifty_in_parallel_equal_one_after_the_other(start):
    server = start(StubEngine(seconds_per_image=0.002), cache_entries=0)
    images = [picture(i) for i in range(50)]
    alone = [server.post(data).json()["p_roadwork"] for data in images]
    with ThreadPoolExecutor(50) as pool:
        together = list(pool.map(lambda data: server.post(data).json()["p_roadwork"], images))
    assert together == alone
    assert server.value("sv_batch_images_sum") == 100
    assert server.value("sv_batch_images_count") < 100  # some did go together


def test_cache__second_time_is_remembered_and_model_asked_once(start):
    server = start(StubEngine())
    first, second = server.post(picture(1)).json(), server.post(picture(1)).json()
    assert (first.pop("cached"), second.pop("cached")) == (False, True)
    assert first == second
    assert (server.value("sv_cache_hits_total"), server.value("sv_batch_images_sum")) == (1, 1)


def test_queue_full__refuses_with_retry_after_and_recovers(start):
    engine = GatedEngine()
    server = start(engine, queue_images=4, cache_entries=0)
    engine.hold()
    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(server.post, picture(i)) for i in range(4)]
        wait_for(lambda: server.value("sv_queue_depth") == 4)
        refused = server.post(picture(9))
        assert (refused.status_code, refused.json()["error"]) == (429, "OverloadedError")
        assert int(refused.headers["retry-after"]) >= 1
        engine.gate.set()
        assert [w.result().status_code for w in waiting] == [200] * 4
    assert server.post(picture(9)).status_code == 200
    assert server.value("sv_rejects_total", reason="OverloadedError") == 1
    assert server.value("sv_queue_depth") == 0


def test_deadline__503_in_time_and_the_place_is_free_again(start):
    engine = GatedEngine()
    server = start(engine)
    engine.hold()
    started = time.monotonic()
    late = server.post(picture(1), **{"x-deadline-seconds": "0.2"})
    assert time.monotonic() - started < 5
    assert (late.status_code, late.json()["error"]) == (503, "DeadlineError")
    assert "retry-after" in late.headers
    assert server.value("sv_queue_depth") == 0
    engine.gate.set()
    assert server.post(picture(1)).status_code == 200


def test_hang_up__frees_the_place_and_never_reaches_the_model(start):
    engine = GatedEngine()
    server = start(engine, cache_entries=0)
    engine.hold()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(server.post, picture(0))
        engine.entered.wait(10)
        data = picture(1)
        with socket.create_connection(("127.0.0.1", int(server.url.rsplit(":", 1)[1]))) as line:
            head = f"POST /v1/predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(data)}"
            line.sendall(head.encode() + b"\r\n\r\n" + data)
            wait_for(lambda: server.value("sv_queue_depth") == 2)
        wait_for(lambda: server.value("sv_queue_depth") == 1)
        engine.gate.set()
        assert first.result().status_code == 200
    assert server.value("sv_rejects_total", reason="client-gone") == 1
    assert server.value("sv_batch_images_sum") == 1


def test_hang_up__in_the_middle_of_a_body_gives_the_memory_back(start):
    server = start(StubEngine(), max_bytes_in_flight=20_000)
    with socket.create_connection(("127.0.0.1", int(server.url.rsplit(":", 1)[1]))) as line:
        line.sendall(b"POST /v1/predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 19990\r\n\r\n" + b"a" * 19_980)
        wait_for(lambda: server.value("sv_bytes_in_flight") == 19_980)  # what has come, not what was promised
        assert server.post(picture(1)).status_code == 429
    wait_for(lambda: server.value("sv_bytes_in_flight") == 0)
    assert server.post(picture(1)).status_code == 200


def test_ready__503_until_a_model_answers(tmp_path):
    registry = Registry(tmp_path)
    champions = RegistryChampions(registry, lambda version: StubEngine(version.name))
    app = create_app(None, settings_with(reload_seconds=0.05), champions=champions)
    with in_background(app) as url:
        response = httpx.get(f"{url}/health/ready")
        assert (response.status_code, response.headers["retry-after"]) == (503, "2")
        assert httpx.post(f"{url}/v1/predict", content=picture(1), headers=JPEG).status_code == 503
        assert httpx.get(f"{url}/health/live").status_code == 200
        version = registry.create({"head.json": b"1"}, {}).name
        registry.install_first(version, by="a test")
        assert Server(app, url).post(picture(1)).json()["model_version"] == version


def test_reload__under_load_loses_no_request(tmp_path, start):
    registry = Registry(tmp_path)
    names = [registry.create({"head.json": bytes([65 + i])}, {}).name for i in range(4)]
    registry.install_first(names[0], by="a test")

    def load(version):
        if version.name == names[2]:
            raise OSError("half a file")
        time.sleep(0.05)
        return StubEngine(version.name, seconds_per_image=0.001)

    server = start(None, champions=RegistryChampions(registry, load), reload_seconds=0.05, cache_entries=0)
    reports = []
    images = [ReplayImage(picture(i % 20), str(i)) for i in range(900)]
    sender = threading.Thread(target=lambda: reports.append(replay(server.url, images, rate=180, concurrency=16)))
    sender.start()
    for name in names[1:]:
        time.sleep(1.0)
        registry.promote(name, Override("a test", "to reload under load"))
    sender.join()
    (report,) = reports
    assert report.errors == {}
    assert report.answered == 900
    assert set(report.model_versions) == {names[0], names[1], names[3]}
    assert server.value("sv_reloads_total", outcome="loaded") == 3
    assert server.value("sv_reloads_total", outcome="failed") >= 1


def test_log__every_answer_is_on_disk_when_the_server_has_stopped(tmp_path):
    app = create_app(StubEngine(), settings_with(), QueryLog(tmp_path))
    with in_background(app) as url:
        server = Server(app, url)
        answers = [server.post(picture(i % 30)).json() for i in range(40)]
    with QueryLog(tmp_path) as log:
        rows = log.rows()
        assert [(r.sha256, r.verdict.p_roadwork) for r in rows] == [(a["sha256"], a["p_roadwork"]) for a in answers]
        assert log.image(rows[7].sha256) == picture(7)
        assert {r.origin for r in rows} == {"http"}
        assert log.check().ok


def test_replay__report_of_a_real_run(server):
    images = [ReplayImage(picture(i), str(i), truth=i % 2) for i in range(30)] + [ReplayImage(b"bad", "bad", 1)]
    report = replay(server.url, images, rate=200, concurrency=4)
    assert (report.sent, report.answered, report.errors) == (31, 30, {"ImageFormatError": 1})
    assert report.scored == 30
    assert report.latency_seconds["p50"] <= report.latency_seconds["p95"] <= report.latency_seconds["p99"]
    assert report.seconds >= 30 / 200
    json.dumps(report.to_dict(), allow_nan=False)


def test_stop__answers_what_it_holds(tmp_path: Path):
    app = create_app(StubEngine(seconds_per_image=0.02), settings_with(cache_entries=0), QueryLog(tmp_path))
    statuses = []
    with in_background(app) as url:
        server = Server(app, url)
        threads = [
            threading.Thread(target=lambda i=i: statuses.append(server.post(picture(i)).status_code)) for i in range(12)
        ]
        for thread in threads:
            thread.start()
        wait_for(lambda: server.value("sv_queue_depth") + len(statuses) == 12)
    for thread in threads:
        thread.join()
    assert statuses == [200] * 12
    with QueryLog(tmp_path) as log:
        assert log.counts().queries == 12
