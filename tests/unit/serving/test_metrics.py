from datetime import UTC, datetime, timedelta

import pytest

from streetvision_core.serving.backend import Answer
from streetvision_core.serving.engine import warm_up
from streetvision_core.serving.metrics import Metrics
from streetvision_core.serving.model_metrics import FleetMetrics, ModelMetrics
from streetvision_core.serving.remote import RemoteServer
from streetvision_core.serving.servers import ServerSpec
from streetvision_core.serving.stub import StubEngine
from streetvision_core.serving.wire import Status
from streetvision_core.types import Evidence, Verdict

SEEN = (Evidence("classifier", {}, seconds=0.02), Evidence("ocr", {}, seconds=0.9))
MOMENT = datetime(2026, 11, 23, tzinfo=UTC)


def value(metrics, name, **labels):
    return metrics.registry.get_sample_value(name, labels)


def test_observe_answer__stages_exits_and_probability():
    metrics, verdict = Metrics(), Verdict(0.93, "ocr", False, SEEN, "v1", "certified", 0.92)
    metrics.observe_answer(Answer(verdict, 4, 3, "native", steps={"decode": 0.004}), fresh=True)
    metrics.observe_answer(Answer(verdict, 4, 3, "native", steps={"decode": 0.004}), fresh=False)
    assert value(metrics, "sv_exits_total", stage="ocr", certified="false") == 1
    assert value(metrics, "sv_stage_latency_seconds_count", stage="classifier") == 1
    assert value(metrics, "sv_stage_latency_seconds_count", stage="decode") == 1
    assert value(metrics, "sv_stage_latency_seconds_bucket", stage="ocr", le="1.0") == 1
    assert value(metrics, "sv_stage_latency_seconds_bucket", stage="ocr", le="0.5") == 0
    assert value(metrics, "sv_verdict_probability_count") == 2
    assert value(metrics, "sv_partial_answers_total") == 0


def test_observe_swap__names_one_version_only():
    metrics = ModelMetrics()
    metrics.observe_swap(warm_up(StubEngine("v1")))
    metrics.observe_swap(warm_up(StubEngine("v2")))
    text = metrics.render().decode()
    assert 'sv_model_info{policy="stub",server="local",version="v2"} 1.0' in text
    assert 'version="v1"' not in text
    assert value(metrics, "sv_ready") == 1


def test_observe_servers__says_how_each_is_and_forgets_who_is_gone():
    metrics = FleetMetrics()
    servers = [RemoteServer(ServerSpec(name, f"unix:/tmp/{name}", weight)) for name, weight in (("a", 9), ("b", 0))]
    metrics.observe_servers(servers)
    assert value(metrics, "sv_ready") == 0
    servers[0].status = Status("v1", "certified", MOMENT, MOMENT, waiting=3)
    metrics.observe_servers(servers)
    assert (value(metrics, "sv_ready"), value(metrics, "sv_model_server_up", server="b")) == (1, 0)
    assert value(metrics, "sv_model_server_queue_depth", server="a") == 3
    assert value(metrics, "sv_model_created_timestamp_seconds", server="a") == MOMENT.timestamp()
    metrics.observe_servers(servers[1:])
    assert value(metrics, "sv_model_info", server="a", version="v1", policy="certified") is None
    assert value(metrics, "sv_ready") == 0


def test_age__is_that_of_the_moment_it_is_read_and_speaks_on_the_days_of_the_list():
    metrics = FleetMetrics()
    (server,) = servers = [RemoteServer(ServerSpec("a", "unix:/tmp/a"))]
    for days, notice in ((10, 0), (70.5, 70), (89, 85), (95, 90)):
        server.status = Status("v1", "certified", MOMENT, datetime.now(UTC) - timedelta(days=days))
        metrics.observe_servers(servers)
        assert value(metrics, "sv_model_age_days", server="a") == pytest.approx(days, abs=0.01)
        assert value(metrics, "sv_model_age_notice_days", server="a") == notice
    server.status = Status("v1", "certified", MOMENT, None)
    metrics.observe_servers(servers)
    assert value(metrics, "sv_model_age_days", server="a") is None
    shorter = FleetMetrics(max_age_days=30)
    server.status = Status("v1", "certified", MOMENT, datetime.now(UTC) - timedelta(days=26), instead_of="v2")
    shorter.observe_servers(servers)
    assert value(shorter, "sv_model_age_notice_days", server="a") == 25
    assert value(shorter, "sv_model_stand_in", server="a", version="v1", instead_of="v2") == 1
