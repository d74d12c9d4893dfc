"""What docs/serving.md says is what the server does."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from streetvision_core.serving.app import create_app
from streetvision_core.serving.metrics import Metrics
from streetvision_core.serving.model_metrics import FleetMetrics, ModelMetrics
from streetvision_core.serving.run import in_background
from streetvision_core.serving.stub import StubEngine
from streetvision_core.settings import ServingSettings
from tests.integration.test_serving import Server, picture, settings_with

TEXT = (Path(__file__).parents[2] / "docs" / "serving.md").read_text()
LINES = [line for block in re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL) for line in block.splitlines()]


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_docs__every_curl_line_is_answered(tmp_path):
    for number, name in enumerate(("photo.jpg", "other.jpg")):
        (tmp_path / name).write_bytes(picture(number))
    app = create_app(StubEngine(), settings_with())
    with in_background(app) as url:
        Server(app, url)
        told = [
            subprocess.run(
                ["bash", "-ec", f"set -o pipefail; {line.replace('http://localhost:8080', url)}"],
                cwd=tmp_path,
                capture_output=True,
                text=True,
                check=True,
                env={"no_proxy": "*", "PATH": "/usr/local/bin:/usr/bin:/bin"},
            ).stdout
            for line in LINES
        ]
    assert len(told) >= 8
    assert sum('"p_roadwork"' in text for text in told) >= 6
    assert told[3].count('"p_roadwork"') == 2


def test_docs__name_every_setting_and_its_default():
    for name, field in ServingSettings.model_fields.items():
        assert f"| `{name}` = {field.default} |" in TEXT, name


def test_docs__name_every_metric():
    groups = (Metrics(), ModelMetrics(), FleetMetrics())
    ours = {f.name for group in groups for f in group.registry.collect() if f.name.startswith("sv_")}
    missing = {name for name in ours if name not in TEXT}
    assert missing == set()
