"""What a kernel inherits: the same settings as the loop, plots in the notebook, a mark to find its processes by."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import streetvision_core
from streetvision_core.settings import ENV_PREFIX, Settings

MARK = "STREETVISION_STEP"
"""Environment variable that every process of a step carries; its value is unique to the attempt."""

_NO_BYTECODE = "PYTHONDONTWRITEBYTECODE"
"""Often set where images are built; there each of the night's processes would compile its libraries anew."""

# They change where and how the loop runs, not what a step computes.
_LOOP_ONLY = ("step_timeout_seconds", "retries", "notify_urls")


def kernel_environment(settings: Settings, mark: str) -> dict[str, str]:
    """The environment of a step's kernel, so that `load_settings()` in the notebook returns `settings`."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(ENV_PREFIX) and k != _NO_BYTECODE}
    values = json.loads(settings.to_child_json())
    values["paths"]["home"] = str(settings.paths.home.resolve())
    values["loop"]["notify_urls"] = []  # they hold secrets, and no notebook notifies
    return {
        **inherited,
        **{f"{ENV_PREFIX}{key.upper()}": _as_variable(value) for key, value in values.items()},
        MARK: mark,
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "PYTHONFAULTHANDLER": "1",
        **_python_path(),
    }


def settings_sha256(settings: Settings) -> str:
    """Digest of the settings that bear on results."""
    values = settings.model_dump(mode="json", exclude={"paths"})
    for key in _LOOP_ONLY:
        del values["loop"][key]
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _as_variable(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _python_path() -> dict[str, str]:
    """Lets the kernel import this very package where it is not installed but lies in a checkout."""
    folder = Path(streetvision_core.__file__).parent.parent
    if "site-packages" in folder.parts:
        return {}
    return {"PYTHONPATH": os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])}
