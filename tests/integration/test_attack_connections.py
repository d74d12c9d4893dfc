"""What a stranger can do to a running server with connections alone: bytes without end, silence, crowds."""

import json
import socket
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from streetvision_core.serving import _door
from streetvision_core.serving._bounded import MAX_HEAD_BYTES, MAX_HEADERS
from streetvision_core.serving.app import create_app
from streetvision_core.serving.run import in_background
from streetvision_core.serving.stub import StubEngine
from tests.integration.test_serving import Server, picture, settings_with, wait_for

HEAD = b"POST /v1/predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: image/jpeg\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
LIVE = b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n"
MIB = 2**20


@contextmanager
def running(engine=None, **serving):
    app = create_app(engine or StubEngine(), settings_with(**serving))
    with in_background(app) as url:
        yield Server(app, url)


@pytest.fixture(scope="module")
def server():
    with running(head_seconds=1.0) as started:
        yield started


def connect(server):
    return socket.create_connection(("127.0.0.1", int(server.url.rsplit(":", 1)[1])), timeout=10)


def request(data, path="/v1/predict"):
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
    return head.encode() + data


def flood(line, piece, most):
    """Sends until the other end hangs up; the bytes it took, and what it answered."""
    sent, answer = 0, b""
    line.settimeout(0.2)
    try:
        while sent < most:
            try:
                sent += line.send(piece)
            except TimeoutError:
                break
    except OSError:
        pass
    line.settimeout(10)
    try:
        while chunk := line.recv(65536):
            answer += chunk
    except OSError:
        pass
    return sent, answer


def resident_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def is_closed(line, seconds=10):
    line.settimeout(seconds)
    try:
        while line.recv(65536):
            pass
    except TimeoutError:
        return False
    except OSError:
        return True
    return True


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (CHUNKED + b"0\r\nx1: ", b"a" * MIB),
        (LIVE + b"Transfer-Encoding: chunked\r\n\r\n0\r\nx1: ", b"a" * MIB),
        (CHUNKED + b"0\r\n", b"x: y\r\n" * 10_000),
        (CHUNKED + b"1;", b"e" * MIB),
        (HEAD + b"x1: ", b"a" * MIB),
        (HEAD, b"x: y\r\n" * 10_000),
        (b"GET /", b"a" * MIB),
        (b"", b"\r\n" * MIB),
    ],
    ids=["trailer", "trailer-answered", "trailers", "chunk-extension", "header", "headers", "path", "empty-lines"],
)
def test_bytes_without_end__are_refused_and_take_no_memory(server, start, piece):
    before = resident_bytes()
    with connect(server) as line:
        line.sendall(start)
        sent, answer = flood(line, piece, 200 * MIB)
    assert sent < 30 * MIB  # what two sockets and one read hold, and no end of it
    assert resident_bytes() - before < 40 * MIB
    if start.startswith(HEAD):
        assert answer.startswith(b"HTTP/1.1 400 ")
        said = json.loads(answer.partition(b"\r\n\r\n")[2])
        assert said["error"] == "RequestError"
        assert said["request_id"]
    assert server.client.get("/health/live").status_code == 200


def test_headers__as_many_as_allowed_are_read(server):
    lines = b"".join(b"x%d: y\r\n" % i for i in range(MAX_HEADERS - 2))
    for more, status in ((b"", b"200"), (b"one: more\r\n", b"400")):
        with connect(server) as line:
            line.sendall(LIVE + b"Connection: close\r\n" + lines + more + b"\r\n")
            assert line.recv(65536).startswith(b"HTTP/1.1 " + status)


def test_head__just_below_the_bound_is_read(server):
    with connect(server) as line:
        line.sendall(LIVE + b"x: " + b"y" * (MAX_HEAD_BYTES - 200) + b"\r\n\r\n")
        assert line.recv(65536).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "start",
    [b"", b"GET /health/live HT", LIVE, LIVE + b"\r\n", LIVE + b"Content-Length: 10\r\n\r\n", LIVE + b"\r\nGET /"],
    ids=["nothing", "line", "headers", "after-an-answer", "rest-of-a-body", "half-of-a-second"],
)
def test_silence__is_closed(server, start):
    started = time.monotonic()
    with connect(server) as line:
        line.sendall(start)
        assert is_closed(line)
    assert 0.9 < time.monotonic() - started < 5


def test_trickle__of_a_head_is_closed_as_silence_is(server):
    with connect(server) as line:
        started = time.monotonic()
        with pytest.raises(OSError):
            for _ in range(200):
                line.send(b"x")
                time.sleep(0.05)
        assert time.monotonic() - started < 5


def test_silent_crowd__keeps_nobody_out():
    """1,030 connections that say nothing, as before they were 503 for everybody."""
    with running(connections_per_address=2000, head_seconds=60.0) as server, ExitStack() as stack:
        lines = [stack.enter_context(connect(server)) for _ in range(1030)]
        for path in ("/health/live", "/health/ready", "/metrics"):
            assert httpx.get(server.url + path, trust_env=False).status_code == 200
        assert httpx.post(f"{server.url}/v1/predict", content=picture(1), trust_env=False).status_code == 200
        assert is_closed(lines[0])  # the one that has been silent longest made room
        lines[-1].sendall(LIVE + b"\r\n")
        assert lines[-1].recv(4096).startswith(b"HTTP/1.1 200")


def test_busy_crowd__leaves_a_reserve_for_health_and_is_over_when_it_goes():
    with running(connections_per_address=2000, max_connections=20) as server, ExitStack() as stack:
        server.client.close()
        for _ in range(20):
            stack.enter_context(connect(server)).sendall(CHUNKED)
        time.sleep(0.2)

        def fresh(path, **what):
            return httpx.request("POST" if what else "GET", server.url + path, trust_env=False, **what)

        refused = fresh("/v1/predict", content=picture(1))
        assert (refused.status_code, refused.json()["error"]) == (503, "OverloadedError")
        assert refused.headers["retry-after"] == "1"
        assert [fresh(path).status_code for path in ("/health/live", "/health/ready", "/metrics")] == [200] * 3
        stack.close()
        wait_for(lambda: fresh("/v1/predict", content=picture(1)).status_code == 200)


def test_one_address__has_a_cap_and_loses_its_own_idle_first():
    with running(connections_per_address=5, head_seconds=60.0) as server, ExitStack() as stack:
        server.client.close()
        lines = [stack.enter_context(connect(server)) for _ in range(5)]
        with connect(server) as sixth:
            sixth.sendall(LIVE + b"\r\n")
            assert sixth.recv(4096).startswith(b"HTTP/1.1 200")
            assert is_closed(lines[0])
            for line in lines[1:]:
                line.sendall(CHUNKED)
            sixth.sendall(CHUNKED)
            time.sleep(0.1)
            with connect(server) as seventh:
                assert seventh.recv(4096).startswith(b"HTTP/1.1 503")


def test_caller_that_does_not_read__is_closed(monkeypatch):
    monkeypatch.setattr(_door, "READ_SECONDS", 1.0)
    with running() as server, connect(server) as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.settimeout(0.5)
        ask = b"GET /openapi.json HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 100
        try:
            for _ in range(20):
                line.send(ask)
        except OSError:
            pass
        time.sleep(4)
        with pytest.raises(OSError):
            for _ in range(1000):
                line.send(ask)


@pytest.mark.parametrize("half_closed", [False, True])
def test_pipelined__fifty_one_requests_have_fifty_one_answers(server, half_closed):
    images = [picture(i) for i in range(51)]
    with connect(server) as line:
        line.sendall(b"".join(map(request, images)))
        if half_closed:
            line.shutdown(socket.SHUT_WR)
        answers = b""
        while answers.count(b"p_roadwork") < 51:
            chunk = line.recv(65536)
            assert chunk, answers.count(b"p_roadwork")
            answers += chunk
    seen = [
        json.loads(part.partition(b"\r\n\r\n")[2])["p_roadwork"] for part in answers.split(b"HTTP/1.1 200 OK\r\n")[1:]
    ]
    assert seen == [server.post(data).json()["p_roadwork"] for data in images]


def test_refused_while_sending__reads_the_refusal(server):
    """Closing at once would reset the connection, and the caller would learn nothing."""
    with connect(server) as line:
        line.sendall(HEAD + b"Content-Length: 90000000\r\n\r\n")
        sent, answer = flood(line, b"\xff" * MIB, 30 * MIB)
    assert sent == 30 * MIB
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"ImageTooLargeError" in answer


@pytest.mark.parametrize(
    "junk", [b"\x16\x03\x01\x02\x00\x01\x00", b"HELLO\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET \xff HTTP/1.1\r\n\r\n"]
)
def test_junk__is_400_with_a_request_id(server, junk):
    with connect(server) as line:
        line.sendall(junk)
        answer = line.recv(4096)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["request_id"].encode() in answer.partition(b"\r\n\r\n")[0]


def test_upgrade__is_answered_as_plain_http(server):
    with connect(server) as line:
        line.sendall(LIVE + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n")
        assert line.recv(4096).startswith(b"HTTP/1.1 200")
