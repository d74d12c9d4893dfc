from prometheus_client import CollectorRegistry, generate_latest

from streetvision_core.mining.drift import DriftState
from streetvision_core.serving._loop_drift import show_drift


def test_show_drift__follows_the_file(tmp_path):
    registry, path = CollectorRegistry(), tmp_path / "drift.json"
    show_drift(registry, path)
    assert b"sv_drift" not in generate_latest(registry)
    DriftState.start("v1", "2026-11-01").watch("2026-11-01", {"input": [1.0, 2.0]}).save(path)
    text = generate_latest(registry).decode()
    assert 'sv_drift_watched{kind="input"} 2.0' in text
    assert 'sv_drift_alarm{kind="calibration"} 0.0' in text
