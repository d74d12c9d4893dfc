import asyncio

import httpx
import pytest

from streetvision_core.errors import ServingError
from streetvision_core.serving.access import KeyRule, keys_for
from streetvision_core.serving.gateway_app import create_gateway_app
from streetvision_core.serving.keys import KeyFile, open_keys
from streetvision_core.serving.metrics import Metrics
from streetvision_core.settings import load_settings
from tests.unit.serving.test_gateway import Backend


def settings_in(folder, **serving):
    base = load_settings("embedded")
    paths = base.paths.model_copy(update={"home": folder})
    return base.model_copy(update={"paths": paths, "serving": base.serving.model_copy(update=serving)})


def ask(app, *requests):
    """Statuses of (method, path, headers, peer) requests."""

    async def main():
        found = []
        for method, path, headers, peer in requests:
            transport = httpx.ASGITransport(app, client=(peer, 1))
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
                found.append(
                    await client.request(method, path, headers=headers, content=b"a" if method == "POST" else None)
                )
        return found

    return asyncio.run(main())


@pytest.fixture
def guarded(tmp_path):
    keys = KeyFile(tmp_path / "keys.json")
    key = keys.add("alice")
    metrics = Metrics()
    settings = settings_in(tmp_path, key_burst=3, key_requests_per_second=0.5)
    return create_gateway_app(Backend(), settings, metrics, keys=KeyRule(keys)), key, metrics


def test_access__two_ways_of_showing_a_key(guarded):
    app, key, metrics = guarded
    image = {"content-type": "image/jpeg"}
    far = "203.0.113.9"
    answers = ask(
        app,
        ("POST", "/v1/predict", {**image, "authorization": f"Bearer {key}"}, far),
        ("POST", "/v1/predict", {**image, "x-api-key": key}, far),
        ("POST", "/v1/predict", image, far),
        ("POST", "/v1/predict", image, "127.0.0.1"),
        ("POST", "/v1/predict", {**image, "authorization": f"Basic {key}"}, far),
        ("POST", "/v1/predict/", image, far),
    )
    assert [a.status_code for a in answers] == [200, 200, 401, 401, 401, 401]
    assert answers[2].headers["www-authenticate"] == "Bearer"
    assert "streetvision keys add" in answers[2].json()["allowed"]
    assert metrics.registry.get_sample_value("sv_rejects_total", {"reason": "AccessError"}) == 4
    assert metrics.registry.get_sample_value("sv_key_requests_total", {"key": "alice"}) == 2


def test_access__a_key_has_its_rate(guarded):
    app, key, _ = guarded
    answers = ask(app, *[("POST", "/v1/predict", {"x-api-key": key, "content-type": "image/jpeg"}, "127.0.0.1")] * 4)
    assert [a.status_code for a in answers] == [200, 200, 200, 429]
    assert answers[3].headers["retry-after"] == "2"


def test_access__metrics_are_for_this_machine_or_a_key_and_health_for_all(guarded):
    app, key, _ = guarded
    answers = ask(
        app,
        ("GET", "/metrics", {}, "127.0.0.1"),
        ("GET", "/metrics", {"x-forwarded-for": "203.0.113.9"}, "127.0.0.1"),
        ("GET", "/metrics", {}, "203.0.113.9"),
        ("GET", "/metrics", {"x-api-key": key}, "203.0.113.9"),
        ("GET", "/health/ready", {}, "203.0.113.9"),
        ("GET", "/", {}, "203.0.113.9"),
    )
    assert [a.status_code for a in answers] == [200, 401, 401, 200, 200, 200]


def test_keys_for__needed_where_others_can_reach_us(tmp_path):
    settings = settings_in(tmp_path)
    assert not keys_for(settings, "127.0.0.1").everyone  # but whoever comes through a proxy
    for host in ("0.0.0.0", "192.0.2.1", "::"):
        with pytest.raises(ServingError, match="streetvision keys add NAME"):
            keys_for(settings, host)
    miner = settings.model_copy(update={"sn72": settings.sn72.model_copy(update={"hotkey": "5abc"})})
    assert miner.sn72.hides_http == (keys_for(miner, "0.0.0.0") is None)
    open_keys(settings).add("alice")
    assert keys_for(settings, "0.0.0.0").everyone
    assert keys_for(settings_in(tmp_path, behind_proxy=True), "127.0.0.1").everyone
    assert keys_for(settings_in(tmp_path, keys="off"), "0.0.0.0") is None
    assert keys_for(settings_in(tmp_path, keys="required"), "127.0.0.1").everyone
