import json
import os

import pytest
from typer.testing import CliRunner

from streetvision_core.cli._app import app
from streetvision_core.errors import SettingsError
from streetvision_core.settings import load_settings, profile_names


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch):
    for key in [k for k in os.environ if k.startswith("SV_")]:
        monkeypatch.delenv(key)


def test_profile_names__are_the_three():
    assert profile_names() == ["embedded", "light", "platinum"]


@pytest.mark.parametrize("name", ["embedded", "light", "platinum"])
def test_load_settings__every_profile_is_valid(name):
    assert load_settings(name).profile == name


def test_load_settings__environment_wins(monkeypatch):
    monkeypatch.setenv("SV_SEED", "7")
    monkeypatch.setenv("SV_CASCADE__ALPHA", "0.02")
    monkeypatch.setenv("SV_MODELS__DETECTORS", '["dense-lite2"]')
    settings = load_settings()
    assert (settings.seed, settings.cascade.alpha, settings.models.detectors) == (7, 0.02, ("dense-lite2",))
    assert settings.models.backbone == "efficientnet-lite2"


@pytest.mark.parametrize(
    ("variable", "value", "got", "allowed"),
    [
        ("SV_PROFILE", "gold", "'gold'", "embedded, light, platinum"),
        ("SV_COLOUR", "red", "SV_COLOUR", "profile, seed, paths"),
        ("SV_CASCADE__ALPA", "0.1", "cascade.alpa", "policy, alpha, delta"),
        ("SV_CASCADE__ALPHA", "0.7", "cascade.alpha", "Lt(lt=0.5)"),
        ("SV_CASCADE__POLICY", "luck", "cascade.policy", "certified"),
        ("SV_MODELS__DETECTORS", "dense", "models", "JSON"),
    ],
)
def test_load_settings__refuses_by_name(monkeypatch, variable, value, got, allowed):
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert got in caught.value.got
    assert allowed in caught.value.allowed
    assert caught.value.action


def test_paths__count_from_home(monkeypatch, tmp_path):
    monkeypatch.setenv("SV_PATHS__HOME", str(tmp_path))
    assert load_settings().paths.resolve("data") == tmp_path / "data"


SECRETS = {
    "SV_VLM__API_KEY": "key-4711",
    "SV_LOOP__NOTIFY_URLS": '["discord://id/token-4711", "mailto://me:word-4711@host"]',
    "SV_SERVING__CACHE_URL": "redis://:pass-4711@host:6379/0",
    "SV_VLM__URL": "http://me:pass-4711@host:8000/v1",
}


def test_secrets__doctor_shows_none_of_them(monkeypatch, tmp_path):
    for name, value in {**SECRETS, "SV_PATHS__HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    result = CliRunner().invoke(app, ["doctor", "--json"])
    assert json.loads(result.stdout)["settings"]["vlm"]["url"] == "http://**********@host:8000/v1"
    assert "4711" not in result.output
    settings = load_settings()
    assert settings.to_child_json().count("4711") == 5
    assert "4711" not in settings.model_dump_json()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SV_LOOP__NOTIFY_URLS", '{"url": "discord://id/token-4711"}'),
        ("SV_LOOP__NOTIFY_URLS", "[4711]"),
        ("SV_LOOP__NOTIFY_URLS", "discord://id/token-4711"),
    ],
)
def test_secrets__an_error_about_one_does_not_show_it(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        load_settings("embedded")
    assert "4711" not in str(caught.value)
    assert "loop" in str(caught.value)
