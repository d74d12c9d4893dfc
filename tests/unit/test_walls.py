"""The walls of the house, each tried in a fresh interpreter, and a proof that the trial can fail."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "torchvision", "transformers", "fiftyone", "ultralytics", "mlflow", "bittensor")


def loaded(statement: str) -> set[str]:
    """The heavy packages that a fresh interpreter has loaded after `statement`."""
    code = f"{statement}\nimport sys\nprint(*sorted(m for m in {HEAVY!r} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_loaded__can_fail():
    assert "torch" in loaded("import torch")


@pytest.mark.parametrize(
    "statement",
    [
        "import streetvision_core",
        "from streetvision_core import types, errors, settings, storage",
        "import streetvision_core.cli",
        "import streetvision_core.images, streetvision_core.scoring, streetvision_core.data",
        "import streetvision_core.cascade, streetvision_core.models",
        "import streetvision_core.registry.versions, streetvision_core.mining.querylog",
        "import streetvision_core.serving.app, streetvision_core.serving.protocols.sn72.protocol",
    ],
)
def test_import__loads_nothing_heavy(statement):
    assert loaded(statement) == set()
