"""Gateway and model server with a real cascade, trained from the starter pack: over HTTP it says what it says here."""

import hashlib
import json
import time
from datetime import date
from importlib import resources

import httpx
import numpy as np
import pytest

from streetvision_core.cascade.calibrate import fit_cascade
from streetvision_core.cascade.engine import Cascade
from streetvision_core.data import scenes
from streetvision_core.data.feature_store import FeatureStore, make_name, store_path
from streetvision_core.data.starter import load_starter
from streetvision_core.images.decode import decode_image, encode_jpeg
from streetvision_core.loop.demo import answer_demo_stream
from streetvision_core.mining.querylog import QueryLog
from streetvision_core.registry.decision import Override
from streetvision_core.registry.versions import Registry
from streetvision_core.serving.protocols.sn72.client import Asker
from streetvision_core.serving.protocols.sn72.keys import KeyPair
from streetvision_core.serving.replay import ReplayImage, replay
from streetvision_core.serving.run import running
from streetvision_core.settings import load_settings
from streetvision_core.storage import atomic_write_json
from streetvision_core.training.heads import train_heads

pytestmark = pytest.mark.slow


def quick_settings(home):
    """The embedded profile, with little training; without detectors where their weights are not there yet."""
    base = load_settings("embedded")
    training = base.training.model_copy(update={"epochs": 4, "learning_rates": (1e-3,), "weight_decays": (1e-2,)})
    weights = resources.files("streetvision_core.models") / "weights" / "manifest.json"
    models = base.models if weights.is_file() else base.models.model_copy(update={"detectors": ()})
    return base.model_copy(
        update={
            "training": training,
            "paths": base.paths.model_copy(update={"home": home}),
            "loop": base.loop.model_copy(update={"queries_per_day": 6}),
            "models": models,
            "serving": base.serving.model_copy(update={"reload_seconds": 0.2, "deadline_seconds": 60.0}),
        }
    )


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    settings, folder = quick_settings(tmp_path_factory.mktemp("home")), tmp_path_factory.mktemp("version")
    # every fourth group, with all its rows: enough to answer, and to train in seconds
    table = load_starter().table
    kept = set(sorted(set(table.groups))[::4])
    table = table.select(np.array([group in kept for group in table.groups]))
    registry = Registry(settings.paths.resolve("data") / "models")
    head = train_heads(table, settings.training, settings.seed).head
    head.save(folder)
    atomic_write_json(folder / "calibration.json", fit_cascade(table, head, settings).to_dict())
    names = [registry.create(folder, {"made_by": "a test", "number": i}).name for i in range(2)]
    registry.install_first(names[0], by="a test")
    return settings, registry, names


@pytest.fixture(scope="module")
def images():
    frames = [scenes.render(seed, roadwork=seed % 2 == 0).frame for seed in range(8)]
    return [ReplayImage(encode_jpeg(f.pixels), f"scene-{i}", 1 - i % 2) for i, f in enumerate(frames)]


def wait_until_ready(url, version):
    for _ in range(600):
        response = httpx.get(f"{url}/health/ready", trust_env=False)
        if response.status_code == 200 and response.json()["model_version"] == version:
            return
        time.sleep(0.1)
    raise AssertionError(response.text)


def test_serve__two_processes_say_what_the_cascade_says_here_and_reload(world, images):
    settings, registry, (first, second) = world
    ours, caller = KeyPair.from_seed(bytes(32)), KeyPair.from_seed(b"c" * 32)
    sn72 = settings.sn72.model_copy(update={"hotkey": ours.address, "allow_hotkeys": (caller.address,)})
    settings, asker = settings.model_copy(update={"sn72": sn72}), Asker(caller, ours.address)
    with running(settings) as url:
        wait_until_ready(url, first)
        cascade = Cascade.from_version(registry.get(first).folder, settings)
        for image in images[:4]:
            (verdict,) = cascade.predict([decode_image(image.data, image.name)])
            answer = httpx.post(f"{url}/v1/predict?evidence=true", content=image.data, timeout=60, trust_env=False)
            assert answer.json()["sha256"] == hashlib.sha256(image.data).hexdigest()
            assert answer.json()["p_roadwork"] == pytest.approx(verdict.p_roadwork, abs=1e-6)
            assert answer.json()["exit_stage"] == verdict.exit_stage
            query = asker.query(image.data, 9.0)
            signed = httpx.post(f"{url}{query.path}", content=query.body, headers=query.headers, trust_env=False)
            assert signed.json()["prediction"] == pytest.approx(verdict.p_roadwork, abs=2e-6)
            seen = [e["stage"] for e in answer.json()["evidence"]]
            assert seen == [e.stage for e in verdict.evidence]
        report = replay(url, images, concurrency=4)
        assert (report.errors, report.model_versions, report.scored) == ({}, {first: 8}, 8)
        registry.promote(second, Override("a test", "to see it served"))
        wait_until_ready(url, second)
        assert replay(url, images[:3]).model_versions == {second: 3}
        text = httpx.get(f"{url}/metrics", trust_env=False).text
    assert 'sv_stage_latency_seconds_count{stage="classifier"}' in text
    assert f'version="{second}"' in text
    json.dumps(report.to_dict(), allow_nan=False)
    digests = [hashlib.sha256(image.data).hexdigest() for image in images]
    make = make_name(cascade.models.backbone, cascade.models.preprocessor)
    assert set(FeatureStore(store_path(settings)).get(digests, make)) == set(digests)  # the night need not compute them


def test_day__its_queries_go_through_a_running_server_into_the_log(world):
    settings, registry, _ = world
    day, log = date(2026, 11, 20), QueryLog(settings.paths.resolve("data") / "queries")
    assert answer_demo_stream(settings, day, log) == 6
    rows = log.rows(day)
    assert len(rows) == 6
    assert {row.verdict.model_version for row in rows} == {registry.promotions.champion()}
    assert all(row.verdict.evidence and row.truth in (0, 1) and row.received_at.date() == day for row in rows)
    assert answer_demo_stream(settings, day, log) == 0  # the day had been answered before
