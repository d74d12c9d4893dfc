"""The shared cache with a real Redis, which goes away and comes back."""

import shutil
import socket
import subprocess
import time

import pytest

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
    settings = settings_with(cache_url=redis.url)
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
        assert key == f"sv1:stub:stub:{fresh['sha256']}"
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


@pytest.mark.parametrize("url", ["127.0.0.1:6379", "http://127.0.0.1", "redis://127.0.0.1:port"])
def test_redis__a_url_that_cannot_be_used_is_named(url):
    with pytest.raises(ServingError, match="SV_SERVING__CACHE_URL"):
        RedisCache(url, 60, Metrics())
