from streetvision_core.serving.engine import warm_up
from streetvision_core.serving.metrics import Metrics
from streetvision_core.serving.stub import StubEngine
from streetvision_core.types import Evidence, Verdict

SEEN = (Evidence("classifier", {}, seconds=0.02), Evidence("ocr", {}, seconds=0.9))


def value(metrics, name, **labels):
    return metrics.registry.get_sample_value(name, labels)


def test_observe_verdict__stages_exits_and_probability():
    metrics, verdict = Metrics(), Verdict(0.93, "ocr", False, SEEN, "v1", "certified", 0.92)
    metrics.observe_verdict(verdict, fresh=True)
    metrics.observe_verdict(verdict, fresh=False)
    assert value(metrics, "sv_exits_total", stage="ocr", certified="false") == 1
    assert value(metrics, "sv_stage_latency_seconds_count", stage="classifier") == 1
    assert value(metrics, "sv_stage_latency_seconds_bucket", stage="ocr", le="1.0") == 1
    assert value(metrics, "sv_stage_latency_seconds_bucket", stage="ocr", le="0.5") == 0
    assert value(metrics, "sv_verdict_probability_count") == 2


def test_observe_swap__names_one_version_only():
    metrics = Metrics()
    metrics.observe_swap(warm_up(StubEngine("v1")))
    metrics.observe_swap(warm_up(StubEngine("v2")))
    text = metrics.render().decode()
    assert 'sv_model_info{policy="stub",version="v2"} 1.0' in text
    assert 'version="v1"' not in text
    assert value(metrics, "sv_ready") == 1
