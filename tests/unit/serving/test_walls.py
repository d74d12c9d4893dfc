"""The gateway loads no model library, and a proof that the trial can fail."""

import subprocess
import sys

HEAVY = ("torch", "torchvision", "onnxruntime", "sklearn", "scipy", "mlflow", "bittensor", "fiftyone", "cv2")


def loaded(*modules):
    code = f"import sys, {', '.join(modules)}\nprint(*sorted(m for m in {HEAVY!r} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_loaded__can_fail():
    assert "onnxruntime" in loaded("onnxruntime")


def test_import__serving_loads_no_model_library():
    names = ("app", "run", "gateway", "protocols.http", "reload", "log", "replay", "stub")
    assert loaded(*(f"streetvision_core.serving.{name}" for name in names)) == set()
