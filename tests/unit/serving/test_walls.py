"""The gateway loads no model library, and a proof that the trial can fail."""

import os
import subprocess
import sys

HEAVY = ("torch", "torchvision", "onnxruntime", "sklearn", "scipy", "mlflow", "bittensor", "fiftyone", "cv2")


def loaded(*modules):
    code = f"import sys, {', '.join(modules)}\nprint(*sorted(m for m in {HEAVY!r} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_loaded__can_fail():
    assert "onnxruntime" in loaded("onnxruntime")


GATEWAY = """
import sys, threading
from streetvision_core.cli import _serving
from streetvision_core.serving.run import gateway_app, in_background
from streetvision_core.serving.servers import parse_specs
from streetvision_core.settings import load_settings
import httpx

with gateway_app(load_settings(), parse_specs(["http://127.0.0.1:9"])) as app, in_background(app) as url:
    for path in ("/health/live", "/health/ready", "/metrics", "/openapi.json", "/"):
        httpx.get(url + path, trust_env=False)
    assert httpx.post(url + "/v1/predict", content=b"x", trust_env=False).status_code == 503
print(*sorted(m for m in HEAVY if m in sys.modules))
"""


def test_gateway__has_loaded_no_model_library_after_serving(tmp_path):
    code = GATEWAY.replace(
        "HEAVY", repr((*HEAVY, "substrateinterface", "scalecodec", "transformers", "rapidocr_onnxruntime"))
    )
    environment = {**os.environ, "SV_PATHS__HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.split() == [], done.stdout
