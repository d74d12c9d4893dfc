"""MLflow beside the registry: the same versions, scores and aliases in a browsable form.

The registry is the truth and never reads MLflow. Whatever MLflow cannot do is logged and left: the next change brings
the mirror up to date, because it always reflects the whole registry.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import structlog

from streetvision_core.registry.versions import ModelVersion, Registry

if TYPE_CHECKING:
    from mlflow import MlflowClient

MODEL_NAME: Final = "streetvision"
EXPERIMENT: Final = "streetvision"
_log = structlog.get_logger(__name__)


class MlflowMirror:
    """Reflects a registry into a SQLite file and local artifacts; open it with `mlflow ui --backend-store-uri …`.

    Args:
        folder: holds `mlflow.db` and `artifacts/`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def uri(self) -> str:
        """The tracking and registry URI."""
        return f"sqlite:///{self.folder / 'mlflow.db'}"

    def __call__(self, registry: Registry) -> None:
        """Brings the mirror up to date; a failure is logged and never reaches the registry."""
        try:
            self._reflect(registry)
        except Exception as error:
            _log.warning("MLflow mirror not brought up to date", error=f"{type(error).__name__}: {error}")

    def client(self) -> MlflowClient:
        """A client on the mirror's own store, whatever MLflow is set to elsewhere."""
        from mlflow import MlflowClient

        self.folder.mkdir(parents=True, exist_ok=True)
        return MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)

    def _reflect(self, registry: Registry) -> None:
        client = self.client()
        known = self._known(client)
        for version in registry.list():
            if version.name not in known:
                known[version.name] = self._add(client, version)
        for alias in ("champion", "challenger"):
            name = getattr(registry.promotions, alias)()
            if name in known:
                client.set_registered_model_alias(MODEL_NAME, alias, known[name])
            else:
                client.delete_registered_model_alias(MODEL_NAME, alias)

    def _known(self, client: MlflowClient) -> dict[str, str]:
        if not client.search_registered_models(filter_string=f"name = '{MODEL_NAME}'"):
            client.create_registered_model(MODEL_NAME)
        found = client.search_model_versions(f"name = '{MODEL_NAME}'")
        return {str(v.tags["version"]): str(v.version) for v in found if "version" in v.tags}

    def _add(self, client: MlflowClient, version: ModelVersion) -> str:
        run = client.create_run(self._experiment(client), run_name=version.name, tags={"digest": version.digest})
        for name, value in flatten(version.card):
            if isinstance(value, bool) or not isinstance(value, int | float):
                client.log_param(run.info.run_id, name, str(value)[:500])
            else:
                client.log_metric(run.info.run_id, name, float(value))
        for path in sorted(version.folder.iterdir()):
            client.log_artifact(run.info.run_id, str(path), "version")
        client.set_terminated(run.info.run_id)
        source = f"{run.info.artifact_uri}/version"
        made = client.create_model_version(MODEL_NAME, source, run.info.run_id, tags={"version": version.name})
        return str(made.version)

    def _experiment(self, client: MlflowClient) -> str:
        found = client.get_experiment_by_name(EXPERIMENT)
        if found is not None:
            return str(found.experiment_id)
        return str(
            client.create_experiment(EXPERIMENT, artifact_location=(self.folder.resolve() / "artifacts").as_uri())
        )


def flatten(card: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Nested facts as `a.b` names, in the characters MLflow allows, lists as text.

    Example:
        >>> flatten({"scores": {"mcc": 0.7}, "data": "day 1"})
        [('scores.mcc', 0.7), ('data', 'day 1')]
    """
    pairs: list[tuple[str, Any]] = []
    for key, value in card.items():
        name = prefix + "".join(c if c.isalnum() or c in "_-. /" else "_" for c in str(key))
        pairs += flatten(value, f"{name}.") if isinstance(value, Mapping) else [(name[:200], value)]
    return pairs
