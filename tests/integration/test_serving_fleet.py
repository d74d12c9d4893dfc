"""A gateway and its model servers over real sockets: weights, crashes, slowness, hang-ups, best evidence so far."""

import asyncio
import hashlib
import json
import socket
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime

import pytest
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from streetvision_core.serving.backend import Image
from streetvision_core.serving.fleet import Fleet
from streetvision_core.serving.gateway_app import MOUNTS, create_gateway_app, mount_model_metrics
from streetvision_core.serving.metrics import Metrics
from streetvision_core.serving.model_app import create_model_app
from streetvision_core.serving.model_metrics import FleetMetrics
from streetvision_core.serving.run import in_background
from streetvision_core.serving.servers import ServerSpec, write_specs
from streetvision_core.serving.stub import StubEngine
from streetvision_core.serving.wire import Status
from tests.integration.test_serving import GatedEngine, Server, picture, settings_with, wait_for


class StagedGate(GatedEngine):
    """Knows something after its first stage, then waits in front of its gate."""

    def predict_watched(self, frames, watch):
        for i, verdict in enumerate(StubEngine("half").predict(frames)):
            watch(i, verdict)
        return self.predict(frames)


@pytest.fixture
def world():
    """Starts model servers and gateways that end with the test."""
    with ExitStack() as stack:

        class World:
            def model(self, engine, **serving):
                app = create_model_app(engine, settings_with(**serving))
                ends = stack.enter_context(ExitStack())
                return Model(app, ends.enter_context(in_background(app)), ends)

            def gateway(self, *specs, file=None, ready=True, **serving):
                settings = settings_with(**{"look_seconds": 0.05, **serving})
                metrics = Metrics()
                fleet = Fleet(specs, settings.serving, FleetMetrics(metrics.registry), file)
                mounts = (*MOUNTS, mount_model_metrics(fleet))
                app = create_gateway_app(fleet, settings, metrics, sides=(fleet,), mounts=mounts)
                return Server(app, stack.enter_context(in_background(app)), ready)

        yield World()


class Model:
    def __init__(self, app, url, ends):
        self.url, self.metrics, self._ends = url, app.state.metrics, ends

    def spec(self, name, weight=1.0):
        return ServerSpec(name, self.url, weight)

    def stop(self):
        self._ends.close()

    def value(self, name, **labels):
        return self.metrics.registry.get_sample_value(name, labels) or 0


def dead_url():
    with socket.create_server(("127.0.0.1", 0)) as free:
        return f"http://127.0.0.1:{free.getsockname()[1]}"


def test_gateway__says_what_the_model_server_says(world):
    model = world.model(StubEngine("v7"))
    gateway = world.gateway(model.spec("one"))
    ready = gateway.client.get("/health/ready").json()
    assert (ready["model_version"], ready["policy"]) == ("v7", "stub")
    answer = gateway.post(picture(1), {"evidence": "true"}).json()
    assert (answer["model_version"], answer["width"], answer["cached"]) == ("v7", 64, False)
    assert gateway.post(picture(1)).json()["cached"]
    assert gateway.post(b"no image").status_code == 415
    assert gateway.post(picture(1)[:300]).json()["error"] == "ImageBrokenError"
    assert gateway.value("sv_stage_latency_seconds_count", stage="decode") == 1
    assert gateway.value("sv_stage_latency_seconds_count", stage="queue") == 1
    assert gateway.value("sv_model_info", server="one", version="v7", policy="stub") == 1
    assert "sv_batch_images_sum 1.0" in gateway.client.get("/metrics/models/0").text
    assert gateway.client.get("/metrics/models/1").status_code == 404
    model.stop()
    assert gateway.client.get("/metrics/models/0").status_code == 503


def fake_model_server(stack, say):
    """A model server that says of itself what it is told to; `say` holds the body and may change."""

    async def status(_):
        return Response(say["status"], media_type="application/json")

    app = Starlette(routes=[Route("/status", status), Route("/answer", status, methods=["POST"])])
    return stack.enter_context(in_background(app))


def told(**changes):
    status = Status("odd", "stub", datetime.now(UTC), None, 0, (0.5,)).to_dict()
    return json.dumps({**status, **changes}).encode()


ODD_STATUS = {
    "waiting is null": told(waiting=None),
    "waiting is a word": told(waiting="many"),
    "deep nesting": b"[" * 200_000,
    "deep nesting in an object": b'{"version":' * 100_000,
    "a list": b"[]",
    "nothing": b"",
    "not UTF-8": b"\xff\xfe",
    "a time without a zone": told(since="2026-11-23T00:00:00"),
    "shares of another kind": told(reference=["x"]),
    "a name of a mebibyte": told(version="v" * 2**20),
    "a number of five thousand digits": b'{"version": ' + b"9" * 5000 + b"}",
}


@pytest.mark.parametrize("odd", ODD_STATUS)
def test_gateway__one_odd_status_is_that_servers_trouble_alone(world, odd):
    with ExitStack() as stack:
        say = {"status": ODD_STATUS[odd]}
        good = world.model(StubEngine("good"))
        gateway = world.gateway(good.spec("good"), ServerSpec("odd", fake_model_server(stack, say), 100))
        assert {gateway.post(picture(i)).json()["model_version"] for i in range(5)} == {"good"}
        port = int(good.url.rsplit(":", 1)[1])
        good.stop()
        wait_for(lambda: gateway.client.get("/health/ready").status_code == 503)
        with in_background(create_model_app(StubEngine("good"), settings_with()), port=port):
            wait_for(lambda: gateway.client.get("/health/ready").status_code == 200)
            assert gateway.post(picture(7)).json()["model_version"] == "good"
            say["status"] = told()
            wait_for(lambda: gateway.value("sv_model_server_up", server="odd") == 1)


def test_gateway__an_odd_answer_goes_to_another_server(world):
    with ExitStack() as stack:
        say = {"status": told()}
        good = world.model(StubEngine("good"))
        gateway = world.gateway(good.spec("good"), ServerSpec("odd", fake_model_server(stack, say), 1000))
        wait_for(lambda: gateway.value("sv_model_server_up", server="odd") == 1)
        answers = [gateway.post(picture(i)) for i in range(5)]
        assert {(a.status_code, a.json()["model_version"]) for a in answers} == {(200, "good")}


def test_gateway__the_watcher_of_the_servers_survives_whatever_it_meets(world, monkeypatch):
    model = world.model(StubEngine("v1"))
    gateway = world.gateway(model.spec("one"))
    broken = {"times": 2}
    observe = FleetMetrics.observe_servers

    def break_twice(self, servers):
        broken["times"] -= 1
        if broken["times"] >= 0:
            raise ZeroDivisionError
        observe(self, servers)

    monkeypatch.setattr(FleetMetrics, "observe_servers", break_twice)
    wait_for(lambda: gateway.value("sv_background_failures_total", task="fleet") == 2)
    model.stop()
    wait_for(lambda: gateway.client.get("/health/ready").status_code == 503)


def test_gateway__two_versions_share_the_images_and_the_same_image_meets_the_same_version(world):
    blue, green = world.model(StubEngine("blue")), world.model(StubEngine("green"))
    gateway = world.gateway(blue.spec("blue", 3), green.spec("green", 1), cache_entries=0)
    wait_for(lambda: all(gateway.value("sv_model_server_up", server=name) == 1 for name in ("blue", "green")))
    versions = [[gateway.post(picture(i)).json()["model_version"] for i in range(40)] for _ in range(2)]
    assert versions[0] == versions[1]
    assert 20 <= Counter(versions[0])["blue"] <= 38


def test_gateway__weights_change_while_it_runs_and_zero_drains(world, tmp_path):
    blue, green = world.model(StubEngine("blue")), world.model(StubEngine("green"))
    file = tmp_path / "models.yaml"

    def weigh(blue_weight, green_weight):
        write_specs(file, [blue.spec("blue", blue_weight), green.spec("green", green_weight)])
        return [blue.spec("blue", blue_weight), green.spec("green", green_weight)]

    gateway = world.gateway(*weigh(1, 0), file=file)
    assert {gateway.post(picture(i)).json()["model_version"] for i in range(8)} == {"blue"}
    weigh(0, 1)
    wait_for(lambda: gateway.value("sv_model_server_weight", server="green") == 1)
    assert {gateway.post(picture(i)).json()["model_version"] for i in range(8)} == {"green"}


def test_gateway__a_dead_server_costs_nothing(world):
    model = world.model(StubEngine("alive"))
    gateway = world.gateway(model.spec("alive"), ServerSpec("dead", dead_url(), 100))
    assert {gateway.post(picture(i)).status_code for i in range(10)} == {200}


def test_gateway__a_server_that_dies_with_images_gives_them_to_the_other(world):
    held = GatedEngine()
    first, second = world.model(held, drain_seconds=0.05), world.model(StubEngine("other"))
    gateway = world.gateway(first.spec("first", 1000), second.spec("second", 0.001), cache_entries=0)
    wait_for(lambda: gateway.value("sv_model_server_up", server="second") == 1)
    held.hold()
    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(gateway.post, picture(i)) for i in range(4)]
        wait_for(lambda: first.value("sv_model_queue_depth") == 4)
        first.stop()
        held.gate.set()
        assert [w.result().json()["model_version"] for w in waiting] == ["other"] * 4
    assert gateway.value("sv_rejects_total", reason="ModelServerError") == 0


def test_gateway__a_slow_server_loses_its_images_to_the_other_and_rests(world):
    slow = GatedEngine()
    first, second = world.model(slow), world.model(StubEngine("quick"))
    gateway = world.gateway(first.spec("slow", 1000), second.spec("quick", 0.001), attempt_seconds=0.1, cache_entries=0)
    wait_for(lambda: gateway.value("sv_model_server_up", server="quick") == 1)
    slow.hold()
    assert [gateway.post(picture(i)).json()["model_version"] for i in range(5)] == ["quick"] * 5
    assert gateway.value("sv_attempts_total", server="slow", outcome="slow") == 3  # then it rests
    slow.gate.set()


def test_gateway__only_server_gone_and_back_within_the_deadline_loses_nothing(world):
    model = world.model(StubEngine("first"))
    gateway = world.gateway(model.spec("one"), cache_entries=0)
    port = int(model.url.rsplit(":", 1)[1])
    model.stop()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(gateway.post, picture(1))
        time.sleep(0.3)
        assert gateway.client.get("/health/ready").status_code == 503
        with in_background(create_model_app(StubEngine("second"), settings_with()), port=port):
            assert waiting.result().json()["model_version"] == "second"


def test_gateway__no_server_within_the_deadline_is_a_named_error(world):
    model = world.model(StubEngine())
    gateway = world.gateway(model.spec("one"), cache_entries=0)
    model.stop()
    late = gateway.post(picture(1), **{"x-deadline-seconds": "0.3"})
    assert (late.status_code, late.json()["error"]) == (503, "DeadlineError")
    assert gateway.value("sv_queue_depth") == 0


def test_gateway__a_batch_that_hangs_makes_its_server_not_ready(world):
    held = GatedEngine()
    first, second = world.model(held, stall_seconds=0.2), world.model(StubEngine("other"))
    gateway = world.gateway(first.spec("hangs", 1000), second.spec("other", 0.001), cache_entries=0)
    wait_for(lambda: gateway.value("sv_model_server_up", server="other") == 1)
    held.hold()
    assert gateway.post(picture(1)).json()["model_version"] == "other"
    wait_for(lambda: gateway.value("sv_model_server_up", server="hangs") == 0)
    held.gate.set()
    wait_for(lambda: gateway.value("sv_model_server_up", server="hangs") == 1)


def test_hang_up__reaches_the_model_servers_queue(world):
    held = GatedEngine()
    model = world.model(held)
    gateway = world.gateway(model.spec("one"), cache_entries=0)
    held.hold()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(gateway.post, picture(0))
        assert held.entered.wait(10)
        data = picture(1)
        with socket.create_connection(("127.0.0.1", int(gateway.url.rsplit(":", 1)[1]))) as line:
            head = f"POST /v1/predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(data)}"
            line.sendall(head.encode() + b"\r\n\r\n" + data)
            wait_for(lambda: model.value("sv_model_queue_depth") == 2)
        wait_for(lambda: model.value("sv_model_queue_depth") == 1)
        held.gate.set()
        assert first.result().status_code == 200
    assert model.value("sv_batch_images_sum") == 1


def test_gateway__best_evidence_so_far_comes_over_the_border(world):
    held = StagedGate()
    model = world.model(held)
    settings = settings_with(look_seconds=0.05)
    data = picture(1)
    image = Image(data, "a", hashlib.sha256(data).hexdigest())

    async def scenario():
        fleet = Fleet([model.spec("one")], settings.serving, FleetMetrics())
        await fleet.start()
        while not fleet.servers[0].ready:
            await asyncio.sleep(0.01)
        held.hold()
        loop = asyncio.get_running_loop()
        answer = await fleet.answer(image, loop.time() + 0.3, partial=True)
        await fleet.stop()
        return answer

    answer = asyncio.run(asyncio.wait_for(scenario(), 10))
    held.gate.set()
    assert (answer.verdict.model_version, answer.complete) == ("half", False)


def test_gateway__an_image_that_kills_every_server_is_given_up(world):
    class Counted:
        kills = 0

    def kill_on_answer(listener):
        while True:
            try:
                line, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(line,), daemon=True).start()

    def serve(line):
        status = json.dumps(Status("v", "p", datetime.now(UTC)).to_dict()).encode()
        while head := line.recv(65536):
            if head.startswith(b"POST"):
                Counted.kills += 1
                line.close()
                return
            line.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(status), status))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=kill_on_answer, args=(listener,), daemon=True).start()
        spec = ServerSpec("fragile", f"http://127.0.0.1:{listener.getsockname()[1]}")
        gateway = world.gateway(spec, cache_entries=0)
        refused = gateway.post(picture(1))
        listener.shutdown(socket.SHUT_RDWR)
    assert (refused.status_code, refused.json()["error"]) == (503, "ModelServerError")
    assert Counted.kills <= 6  # three attempts, each perhaps on a kept connection and a new one
