import json
import os
import subprocess
import sys

from pydantic import SecretStr

from streetvision_core.loop.environment import MARK, kernel_environment, settings_sha256


def with_loop(settings, **changes):
    return settings.model_copy(update={"loop": settings.loop.model_copy(update=changes)})


def test_kernel_environment__gives_the_same_settings(settings, monkeypatch, tmp_path):
    monkeypatch.setenv("SV_MINING__BUDGET", "7")  # of the shell, not of the settings in hand
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    settings = with_loop(settings, queries_per_day=33, notify_urls=(SecretStr("discord://id/secret"),))
    settings = settings.model_copy(update={"vlm": settings.vlm.model_copy(update={"api_key": SecretStr("key-1")})})
    environment = kernel_environment(settings, "m1")
    code = "from streetvision_core.settings import load_settings as l; print(l().to_child_json())"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    seen, expected = json.loads(done.stdout), json.loads(settings.to_child_json())
    assert seen["vlm"]["api_key"] == "key-1", "stage 3 of a notebook asks with the real key"
    expected["loop"]["notify_urls"] = []
    assert seen == expected
    assert "secret" not in " ".join(environment.values())
    assert environment[MARK] == "m1"
    assert "PYTHONDONTWRITEBYTECODE" not in environment, "ten kernels a night would compile torch anew"
    assert os.environ["SV_MINING__BUDGET"] == "7"


def test_settings_sha256__only_for_what_bears_on_results(settings):
    digest = settings_sha256(settings)
    assert (
        settings_sha256(with_loop(settings, retries=3, step_timeout_seconds=5, notify_urls=(SecretStr("x://"),)))
        == digest
    )
    assert (
        settings_sha256(settings.model_copy(update={"paths": settings.paths.model_copy(update={"data": "d2"})}))
        == digest
    )
    assert settings_sha256(with_loop(settings, queries_per_day=1)) != digest
    assert settings_sha256(settings.model_copy(update={"seed": 1})) != digest
