from __future__ import annotations

import sys
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from streetvision_core.registry.decision import Override
from streetvision_core.registry.mirror import MODEL_NAME, MlflowMirror
from streetvision_core.registry.versions import Registry, open_registry
from streetvision_core.settings import Paths, load_settings


@pytest.mark.slow
def test_mirror__reflects_versions_scores_and_aliases(tmp_path: Path) -> None:
    plain = Registry(tmp_path / "models")
    first = plain.create({"head.json": b"{}"}, {"scores": {"mcc": 0.5}, "data": "day 0"})
    plain.install_first(first, by="loop")
    mirror = MlflowMirror(tmp_path / "mlflow")
    with capture_logs() as logs:
        registry = Registry(tmp_path / "models", mirror=mirror)
        second = registry.create({"head.json": b"[]"}, {"scores": {"mcc": 0.7}, "live": True})
        registry.challenge(second)
        client = mirror.client()
        assert client.get_model_version_by_alias(MODEL_NAME, "challenger").tags["version"] == second.name
        registry.promote(second, Override("Ada", "a test of mirrors"))
    assert logs == []
    champion = client.get_model_version_by_alias(MODEL_NAME, "champion")
    assert champion.tags["version"] == second.name
    assert client.get_run(champion.run_id).data.metrics == {"scores.mcc": 0.7}
    versions = client.search_model_versions(f"name = '{MODEL_NAME}'")
    assert {v.tags["version"] for v in versions} == {first.name, second.name}, (
        "what came before the mirror is caught up"
    )
    assert "challenger" not in client.get_registered_model(MODEL_NAME).aliases
    artifacts = Path(client.get_run(champion.run_id).info.artifact_uri.removeprefix("file://")) / "version"
    assert sorted(p.name for p in artifacts.iterdir()) == ["card.json", "head.json", "manifest.json"]


@pytest.mark.parametrize("harm", ["no package", "no folder"])
def test_mirror__failure_is_logged_and_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harm: str) -> None:
    settings = load_settings("embedded").model_copy(update={"paths": Paths(home=tmp_path)})
    if harm == "no package":
        monkeypatch.setitem(sys.modules, "mlflow", None)
    else:
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "mlflow").write_text("a file where the folder should be")
    with capture_logs() as logs:
        registry = open_registry(settings)
        registry.install_first(registry.create({"head.json": b"{}"}, {}), by="loop")
    assert registry.alias("champion").name == "v0001-" + registry.list()[0].digest[:8]
    assert {log["event"] for log in logs} == {"MLflow mirror not brought up to date"}
    assert {log["log_level"] for log in logs} == {"warning"}
