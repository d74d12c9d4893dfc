"""The subnet's protocol over real sockets, asked by our own signing client."""

import socket
import threading
import time
from contextlib import contextmanager

import httpx
import numpy as np
import pytest

from streetvision_core.errors import ChainError
from streetvision_core.images.decode import encode_jpeg
from streetvision_core.serving.app import create_app
from streetvision_core.serving.protocols.sn72.client import Asker
from streetvision_core.serving.protocols.sn72.keys import KeyPair, encode_address
from streetvision_core.serving.protocols.sn72.public import OnlyValidators
from streetvision_core.serving.replay import ReplayImage, replay
from streetvision_core.serving.run import in_background
from streetvision_core.serving.stub import StubEngine
from streetvision_core.settings import load_settings
from streetvision_core.types import Evidence, Verdict

OURS, CALLER = KeyPair.from_seed(b"o" * 32), KeyPair.from_seed(b"c" * 32)
DARK, BRIGHT = (encode_jpeg(np.full((40, 40, 3), value, np.uint8)) for value in (20, 230))


def make_settings(home, serving=None, **sn72):
    base = load_settings("embedded")
    own = {"hotkey": OURS.address, "allow_hotkeys": (CALLER.address,), **sn72}
    return base.model_copy(
        update={
            "paths": base.paths.model_copy(update={"home": home}),
            "sn72": base.sn72.model_copy(update=own),
            "serving": base.serving.model_copy(update=serving or {}),
        }
    )


class Server:
    def __init__(self, url, app):
        self.url, self.metrics = url, app.state.metrics.registry
        self.client = httpx.Client(base_url=url, timeout=20, trust_env=False)
        self.asker = Asker(CALLER, OURS.address)

    def ask(self, image=BRIGHT, timeout=9.0):
        return self.send(self.asker.query(image, timeout))

    def send(self, query):
        return self.client.post(query.path, content=query.body, headers=query.headers)

    def rejects(self, reason):
        return self.metrics.get_sample_value("sv_sn72_rejects_total", {"reason": reason})


@contextmanager
def running(settings, engine=None):
    app = create_app(engine or StubEngine(), settings)
    with in_background(app) as url:
        server = Server(url, app)
        ends = time.monotonic() + 20
        while engine is not False and server.client.get("/health/ready").status_code != 200:
            assert time.monotonic() < ends
            time.sleep(0.01)
        yield server


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running(make_settings(tmp_path_factory.mktemp("sn72"), burst_queries=10_000)) as found:
        yield found


def test_ask__prediction_and_headers(server):
    dark, bright = server.ask(DARK), server.ask(BRIGHT)
    assert 0 < dark.json()["prediction"] < 0.5 < bright.json()["prediction"] < 1
    assert bright.headers["bt_header_axon_status_code"] == "200"
    assert bright.headers["bt_header_dendrite_hotkey"] == CALLER.address
    assert bright.headers["name"] == "ImageSynapse"


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_ask__post_only(server, method):
    assert server.client.request(method, "/ImageSynapse").status_code == 405


def test_refusals__tell_nothing_and_echo_nothing(server):
    for change in ({"bt_header_dendrite_signature": "0x" + "0" * 128}, {"bt_header_axon_hotkey": CALLER.address}):
        query = server.asker.query(BRIGHT, 9.0)
        query.headers.update(change)
        response = server.send(query)
        assert (response.status_code, response.json()) == (401, {"message": "Not verified"})
        assert not any("bt_header" in name for name in response.headers)


def test_forger__does_not_spend_the_quota_of_whom_he_imitates(tmp_path):
    with running(make_settings(tmp_path, burst_queries=2, queries_per_minute=0.001)) as server:
        for _ in range(5):
            query = server.asker.query(BRIGHT, 9.0)
            query.headers["bt_header_dendrite_signature"] = "0x" + "1" * 128
            assert server.send(query).status_code == 401
        query = server.asker.query(BRIGHT, 9.0)
        assert [server.send(query).status_code for _ in range(3)] == [200, 401, 401]  # nor does a replay
        assert server.ask().status_code == 200
        limited = server.ask()
        assert (limited.status_code, limited.headers["retry-after"]) == (429, "1")


def test_rate__a_query_that_it_refused_may_be_sent_again(tmp_path):
    with running(make_settings(tmp_path, burst_queries=1, queries_per_minute=60)) as server:
        assert server.ask().status_code == 200
        query = server.asker.query(BRIGHT, 9.0)
        assert server.send(query).status_code == 429
        time.sleep(1.1)
        assert [server.send(query).status_code for _ in range(2)] == [200, 401]


def test_refusals__the_neutral_key_signs_for_nobody(tmp_path):
    neutral = encode_address(bytes(32))
    with running(make_settings(tmp_path, allow_hotkeys=(neutral,))) as server:
        query = server.asker.query(BRIGHT, 9.0)
        query.headers["bt_header_dendrite_hotkey"] = neutral
        query.headers["bt_header_dendrite_signature"] = "0x" + (bytes(63) + b"\x80").hex()
        assert server.send(query).status_code == 401
        assert server.rejects("signature") == 1


def test_replay__is_refused_by_the_next_process_too(tmp_path):
    settings = make_settings(tmp_path)
    with running(settings) as server:
        query = server.asker.query(BRIGHT, 9.0)
        assert server.send(query).status_code == 200
    with running(settings) as server:
        assert server.send(query).status_code == 401
        assert server.rejects("nonce-replayed") == 1
        assert server.ask().status_code == 200


def test_not_ready__is_an_honest_503(tmp_path):
    app = create_app(None, make_settings(tmp_path))
    with in_background(app) as url:
        response = Server(url, app).ask()
    assert (response.status_code, response.json()) == (503, {"message": "Busy"})


class Staged(StubEngine):
    """Its first stage answers at once, its second when `release` is set: long after the deadline."""

    def __init__(self, evidence):
        super().__init__()
        self._evidence = evidence
        self.release = threading.Event()
        self.ended = False

    def predict_watched(self, frames, watch):
        seen = (Evidence("classifier", {"logit": 2.0}),) if self._evidence else ()
        for i, _ in enumerate(frames):
            if self._evidence:
                watch(i, Verdict(0.81, "classifier", False, seen, "stub", "stub", 0.1))
        self.release.wait(15)
        self.ended = True
        return self.predict(frames)


@pytest.mark.parametrize(("evidence", "status"), [(True, 200), (False, 408)])
def test_deadline__the_best_evidence_so_far_or_an_honest_refusal(tmp_path, evidence, status):
    engine = Staged(evidence)
    with running(make_settings(tmp_path), engine) as server:
        response = server.ask(timeout=3.0)
        assert not engine.ended  # nobody waited for it
        engine.release.set()
        assert response.status_code == status
        assert response.json().get("prediction", 0.81) == 0.81


class Blind(StubEngine):
    """Sees the warm-up frame and nothing else, like a cascade whose first stage fails."""

    def predict(self, frames):
        seen = (Evidence("classifier", {"logit": 0.0}),) if frames[0].source == "warm-up" else ()
        return [Verdict(0.31, "classifier", False, seen, "stub", "stub", 0.0) for _ in frames]


def test_no_evidence__no_answer(tmp_path):
    with running(make_settings(tmp_path), Blind()) as server:
        assert (server.ask().status_code, server.rejects("model")) == (500, 1)


def test_full_queue__is_an_honest_503(tmp_path):
    gate = threading.Event()

    class Held(StubEngine):
        def predict(self, frames):
            assert frames[0].source == "warm-up" or gate.wait(20)
            return super().predict(frames)

    with running(make_settings(tmp_path, {"queue_images": 1}), Held()) as server:
        first = threading.Thread(target=server.ask)
        first.start()
        while server.metrics.get_sample_value("sv_queue_depth") < 1:
            time.sleep(0.01)
        assert server.ask(DARK).status_code == 503
        gate.set()
        first.join()
        assert server.ask(DARK).status_code == 200


def test_slow_body__is_given_up_in_time(server):
    query = server.asker.query(BRIGHT, 1.0)
    host, port = server.url.removeprefix("http://").split(":")
    lines = [f"POST {query.path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(query.body)}"]
    lines += [f"{name}: {value}" for name, value in query.headers.items()]
    with socket.create_connection((host, int(port)), timeout=5) as line:
        line.sendall("\r\n".join([*lines, "", ""]).encode() + query.body[:10])
        assert line.recv(1000).startswith(b"HTTP/1.1 408")


@pytest.mark.parametrize("separator", [b"\r\nx: ", b""])
def test_endless_head__is_cut_off(server, separator):
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as line:
        line.sendall(b"POST /ImageSynapse HTTP/1.1\r\nHost: 127.0.0.1\r\ny: ")
        with pytest.raises(OSError):
            for _ in range(400):
                line.sendall(b"a" * 50_000 + separator)
    assert server.ask().status_code == 200


def test_replay__signed_queries_are_scored_like_plain_ones(server):
    images = [ReplayImage(DARK, "dark", 0), ReplayImage(BRIGHT, "bright", 1), ReplayImage(b"none", "broken")] * 5
    signed = replay(server.url, images, concurrency=4, asker=server.asker)
    plain = replay(server.url, images, concurrency=4)
    assert (signed.answered, plain.answered) == (10, 10)
    assert signed.errors == {"400 Bad request": 5}
    assert signed.scores == plain.scores
    assert signed.scores["mcc"] == 1.0


def test_replay__another_server_refuses_them(server):
    stranger = Asker(KeyPair.from_seed(b"x" * 32), OURS.address)
    assert replay(server.url, [ReplayImage(DARK, "dark")], asker=stranger).errors == {"503 Busy": 1}  # no snapshot


def test_only_validators__other_paths_are_for_this_machine():
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def ask(path, host):
        import httpx as client

        transport = client.ASGITransport(OnlyValidators(app), client=(host, 5))
        async with client.AsyncClient(transport=transport, base_url="http://127.0.0.1") as asking:
            headers = {"x-forwarded-for": world} if path == "/" else {}
            return (await asking.get(path, headers=headers)).status_code

    import asyncio

    world, here = "203.0.113.9", "127.0.0.1"
    asked = [(world, "/ImageSynapse"), (world, "/metrics"), (world, "/v1/predict"), (here, "/metrics"), (here, "/")]
    assert [asyncio.run(ask(path, host)) for host, path in asked] == [200, 404, 404, 200, 404]


def test_create_app__refuses_a_hotkey_that_is_none(tmp_path):
    for wrong in ({"hotkey": "5Fake"}, {"allow_hotkeys": ("nobody",)}):
        with pytest.raises(ChainError, match="ss58"):
            create_app(StubEngine(), make_settings(tmp_path, **wrong))
