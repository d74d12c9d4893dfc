"""The server with a real cascade, trained from the starter pack: over HTTP it says what it says in process."""

import hashlib
import json
import time
from importlib import resources

import httpx
import numpy as np
import pytest

from streetvision_core.cascade.calibrate import fit_cascade
from streetvision_core.cascade.engine import Cascade
from streetvision_core.data import scenes
from streetvision_core.data.starter import load_starter
from streetvision_core.images.decode import decode_image, encode_jpeg
from streetvision_core.registry.decision import Override
from streetvision_core.registry.versions import Registry
from streetvision_core.serving.app import create_app
from streetvision_core.serving.reload import RegistryChampions
from streetvision_core.serving.replay import ReplayImage, replay
from streetvision_core.serving.run import cascade_loader, in_background
from streetvision_core.settings import load_settings
from streetvision_core.storage import atomic_write_json
from streetvision_core.training.heads import train_heads

pytestmark = pytest.mark.slow


def quick_settings():
    """The embedded profile, with little training; without detectors where their weights are not there yet."""
    base = load_settings("embedded")
    training = base.training.model_copy(update={"epochs": 4, "learning_rates": (1e-3,), "weight_decays": (1e-2,)})
    weights = resources.files("streetvision_core.models") / "weights" / "manifest.json"
    models = base.models if weights.is_file() else base.models.model_copy(update={"detectors": ()})
    return base.model_copy(
        update={
            "training": training,
            "models": models,
            "serving": base.serving.model_copy(update={"reload_seconds": 0.2, "deadline_seconds": 60.0}),
        }
    )


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    settings, folder = quick_settings(), tmp_path_factory.mktemp("version")
    # every fourth group, with all its rows: enough to answer, and to train in seconds
    table = load_starter().table
    kept = set(sorted(set(table.groups))[::4])
    table = table.select(np.array([group in kept for group in table.groups]))
    registry = Registry(tmp_path_factory.mktemp("models"))
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


def test_serve__champion_over_http_is_the_cascade_in_process_and_reloads(world, images):
    settings, registry, (first, second) = world
    app = create_app(None, settings, champions=RegistryChampions(registry, cascade_loader(settings)))
    with in_background(app) as url:
        wait_until_ready(url, first)
        cascade = Cascade.from_version(registry.get(first).folder, settings)
        for image in images[:4]:
            (verdict,) = cascade.predict([decode_image(image.data, image.name)])
            answer = httpx.post(f"{url}/v1/predict?evidence=true", content=image.data, timeout=60, trust_env=False)
            assert answer.json()["sha256"] == hashlib.sha256(image.data).hexdigest()
            assert answer.json()["p_roadwork"] == pytest.approx(verdict.p_roadwork, abs=1e-6)
            assert answer.json()["exit_stage"] == verdict.exit_stage
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
