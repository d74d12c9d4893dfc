import json
import os

import pytest
from typer.testing import CliRunner

from streetvision_core.cli._app import app
from streetvision_core.errors import SettingsError
from streetvision_core.ops.explain import explain_settings
from streetvision_core.settings import load_settings


@pytest.fixture(autouse=True)
def workspace(tmp_path, monkeypatch):
    for key in [key for key in os.environ if key.startswith("SV_")]:
        monkeypatch.delenv(key)
    text = "format: 2\ncascade: {alpha: 0.02, delta: 0.02}\nmodels: {threads: 1}\n"
    (tmp_path / "streetvision.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SV_CASCADE__ALPHA", "0.03")
    monkeypatch.setenv("SV_GATE", '{"alpha": 0.01}')
    return tmp_path


@pytest.mark.parametrize(
    ("key", "value", "source"),
    [
        ("cascade.alpha", 0.03, "the variable SV_CASCADE__ALPHA"),
        ("gate.alpha", 0.01, "the variable SV_GATE"),
        ("gate.margin", 0.05, "default"),
        ("cascade.delta", 0.02, "streetvision.yaml"),
        ("models.threads", 1, "streetvision.yaml"),
        ("models.backbone", "efficientnet-lite2", "the profile 'embedded'"),
        ("profile", "embedded", "--profile"),
        ("seed", 0, "default"),
    ],
)
def test_explain_settings__names_the_strongest_source(key, value, source):
    found = next(one for one in explain_settings("embedded") if one.key == key)
    assert json.loads(found.value) == value
    assert found.source.endswith(source)


def test_explain_settings__has_every_setting_and_shows_no_secret(monkeypatch):
    monkeypatch.setenv("SV_VLM__API_KEY", "s3cret")
    monkeypatch.setenv("SV_LOOP__NOTIFY_URLS", '["discord://s3cret"]')
    rows = explain_settings()
    assert "s3cret" not in str(rows)
    assert next(one.value for one in rows if one.key == "vlm.api_key") == "hidden"
    sections = load_settings().model_dump()
    assert len(rows) == sum(len(value) if isinstance(value, dict) else 1 for value in sections.values())


def run(*arguments):
    return CliRunner().invoke(app, ["config", *arguments])


def test_cli_config__explain_show_check():
    done = run("explain", "cascade.alpha")
    assert done.stdout.startswith("cascade.alpha = 0.03\n  from: the variable SV_CASCADE__ALPHA")
    shown = {row["key"]: row["source"] for row in json.loads(run("show", "--changed", "--json").stdout)}
    assert {"cascade.alpha", "cascade.delta", "gate.alpha", "models.threads"} <= set(shown)
    assert "seed" not in shown
    assert run("check").exit_code == 0
    assert "from: --profile" in run("explain", "profile", "--profile", "light").stdout


def test_cli_config__what_is_wrong_is_named(workspace, monkeypatch):
    assert isinstance(run("explain", "cascade.alpa").exception, SettingsError)
    monkeypatch.setenv("SV_CASCADE__ALPHA", "0.9")
    assert "SV_CASCADE__ALPHA" in run("check").exception.action
    monkeypatch.delenv("SV_CASCADE__ALPHA")
    (workspace / "streetvision.yaml").write_text("format: 2\ncascade: {alpha: 0.9}\n")
    assert "streetvision.yaml" in run("check").exception.action
