"""StreetVision: tells whether a street image shows road work, and how sure it is.

Importing the package loads no model library; rooms are imported by name (`streetvision_core.cascade`, …).
"""

import os as _os

# Each of these libraries would report to its maker from the machine that people's photographs pass through; ONNX
# Runtime 1.32 does so from its import on, and leaves a device number in the user's home. Child processes inherit it.
for _switch, _value in {
    "ORT_DISABLE_TELEMETRY": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "FIFTYONE_DO_NOT_TRACK": "true",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "DO_NOT_TRACK": "true",
}.items():
    _os.environ.setdefault(_switch, _value)

__version__ = "0.1.0"
