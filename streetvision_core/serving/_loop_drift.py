"""Shows the loop's drift state as gauges; read anew whenever the loop has written it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from streetvision_core.errors import DataError
from streetvision_core.mining.drift import DriftState, gauges

DRIFT_FILE = "drift.json"
"""Where the loop leaves it in the data folder."""

TEXTS = {
    "sv_drift_evidence": "Capital of the bet against no drift; 1 at the start.",
    "sv_drift_alarm": "1 where drift is proved.",
    "sv_drift_watched": "Independent frames watched.",
}


class DriftCollector(Collector):
    """Gauges from a state file; none while there is no state.

    Args:
        path: `data/drift.json` of the workspace.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Called at each scrape."""
        try:
            state = DriftState.load(self.path)
        except DataError:
            return  # no day has been watched yet
        for name, values in gauges(state).items():
            family = GaugeMetricFamily(name, TEXTS[name], labels=["kind"])
            for kind, value in values.items():
                family.add_metric([kind], value)
            yield family


def show_drift(registry: CollectorRegistry, path: Path) -> None:
    """Adds the gauges to a server's registry."""
    registry.register(DriftCollector(path))
