"""The shared cache with a real Redis, which goes away and comes back."""

import importlib
import json
import shutil
import socket
import subprocess
import time

import pytest
from pydantic import SecretStr

from streetvision_core.errors import ServingError
from streetvision_core.serving.app import create_app
from streetvision_core.serving.cache_redis import RedisCache
from streetvision_core.serving.metrics import Metrics
from streetvision_core.serving.run import in_background
from streetvision_core.serving.stub import StubEngine
from tests.integration.test_serving import Server, picture, settings_with, wait_for

pytest.importorskip("redis")
pytestmark = pytest.mark.skipif(shutil.which("redis-server") is None, reason="needs redis-server")


class Redis:
    def __init__(self, folder):
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.folder, self.url, self.process = folder, f"redis://127.0.0.1:{self.port}/0", None
        self.start()

    def start(self):
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", self.folder]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        wait_for(self.answers)

    def answers(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as line:
                line.sendall(b"PING\r\n")
                return line.recv(10).startswith(b"+PONG")
        except OSError:
            return False

    def stop(self):
        self.process.kill()
        self.process.wait()

    def ask(self, *words):
        done = subprocess.run(["redis-cli", "-p", str(self.port), *words], capture_output=True, text=True, check=True)
        return done.stdout.strip()


@pytest.fixture(scope="module")
def redis(tmp_path_factory):
    server = Redis(str(tmp_path_factory.mktemp("redis")))
    yield server
    server.stop()


def test_redis__two_gateways_share_answers_and_outlive_it(redis):
    settings = settings_with(cache_url=SecretStr(redis.url))
    first_app, second_app = (create_app(StubEngine(), settings) for _ in range(2))
    with in_background(first_app) as first_url, in_background(second_app) as second_url:
        first, second = Server(first_app, first_url), Server(second_app, second_url)
        fresh, known = (
            first.post(picture(1), {"evidence": "true"}).json(),
            second.post(picture(1), {"evidence": "true"}).json(),
        )
        assert (fresh.pop("cached"), known.pop("cached")) == (False, True)
        assert fresh == known
        assert second.value("sv_cache_hits_total") == 1
        (key,) = redis.ask("keys", "*").split()
        assert key == f"sv2:stub:stub:{fresh['sha256']}"
        assert 3500 < int(redis.ask("ttl", key)) <= 3600

        redis.ask("set", key, "nonsense")
        assert not first.post(picture(1)).json()["cached"]
        assert first.value("sv_cache_errors_total", reason="entry") == 1

        redis.stop()
        started = time.monotonic()
        assert [first.post(picture(i)).status_code for i in range(20)] == [200] * 20
        assert time.monotonic() - started < 10
        assert first.value("sv_cache_errors_total", reason="unreachable") >= 1
        assert first.value("sv_cache_up") == 0

        redis.start()
        wait_for(lambda: first.post(picture(2)).json()["cached"])
        assert first.value("sv_cache_up") == 1


def lies(entry):
    """What may stand in a shared cache in the place of an answer."""
    other = json.loads(json.dumps(entry))
    verdict = {**other["verdict"], "model_version": "another"}
    changes = [
        {"verdict": verdict},
        {"verdict": {**other["verdict"], "policy": "another"}},
        {"verdict": {**other["verdict"], "p_roadwork": None}},
        {"verdict": {**other["verdict"], "p_roadwork": 7}},
        {"verdict": {**other["verdict"], "p_roadwork": "0.9"}},
        {"verdict": {**other["verdict"], "evidence": []}},
        {"verdict": {**other["verdict"], "evidence": None}},
        {"verdict": {**other["verdict"], "exit_stage": "coffee"}},
        {"verdict": {**other["verdict"], "seconds": -1}},
        {"verdict": 7},
        {"width": 0},
        {"width": "wide"},
        {"height": None},
        {"era": "jurassic"},
        {"complete": False},
        {"complete": "yes"},
        {"steps": None},
        {"steps": {"decode": "quick"}},
        {"sha256": "0" * 64},
    ]
    texts = [json.dumps({**other, **change}).encode() for change in changes]
    texts += [json.dumps({k: v for k, v in other.items() if k != name}).encode() for name in other]
    return [*texts, b"", b"null", b"[]", b"7", b"[" * 100_000, b"\xff\xfe", b"x" * 2**21]


def test_redis__an_entry_that_lies_is_a_miss(redis):
    client = redis_client(redis)
    app = create_app(StubEngine(), settings_with(cache_url=SecretStr(redis.url)))
    with in_background(app) as url:
        server = Server(app, url)
        honest = server.post(picture(77)).json()
        key = f"sv2:stub:stub:{honest['sha256']}"
        wait_for(lambda: client.exists(key))
        entry = client.get(key)
        told = lies(json.loads(entry))
        for lie in told:
            client.set(key, lie)
            answer = server.post(picture(77))
            assert (answer.status_code, answer.json()["cached"]) == (200, False), lie[:200]
            assert answer.json()["p_roadwork"] == honest["p_roadwork"], lie[:200]
        assert server.value("sv_cache_errors_total", reason="entry") == len(told)
        client.delete(key)
        client.rpush(key, "a list where a text should be")
        assert server.post(picture(77)).json()["cached"] is False
        assert server.value("sv_cache_errors_total", reason="unreachable") == 0, "no second without a cache"
        client.set(key, entry)
        assert server.post(picture(77)).json()["cached"]


def test_redis__a_pooled_connection_that_was_closed_costs_no_second_without_a_cache(redis):
    client = redis_client(redis)
    app = create_app(StubEngine(), settings_with(cache_url=SecretStr(redis.url)))
    with in_background(app) as url:
        server = Server(app, url)
        server.post(picture(5))
        wait_for(lambda: server.post(picture(5)).json()["cached"])
        client.client_kill_filter(_type="normal", skipme=True)
        assert server.post(picture(5)).json()["cached"]
        assert server.value("sv_cache_errors_total", reason="unreachable") == 0


def redis_client(redis):
    return importlib.import_module("redis").Redis.from_url(redis.url)


@pytest.mark.parametrize("url", ["127.0.0.1:6379", "http://127.0.0.1", "redis://127.0.0.1:port"])
def test_redis__a_url_that_cannot_be_used_is_named(url):
    with pytest.raises(ServingError, match="SV_SERVING__CACHE_URL"):
        RedisCache(url, 60, Metrics())
