"""No library reports to its maker: nothing of theirs appears in the user's home, and every switch is set."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SESSION = "import streetvision_core.models.session, onnxruntime; onnxruntime.get_available_providers()"


def files_after(statement: str, home: Path) -> list[str]:
    """Files in an empty home after a fresh interpreter has run a statement."""
    home.mkdir()
    # a bare environment: on machines of a CI the library is silent by itself, and the second half would prove nothing
    values = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH") if name in os.environ}
    subprocess.run([sys.executable, "-c", statement], check=True, env=values | {"HOME": str(home)})
    return sorted(str(path.relative_to(home)) for path in home.rglob("*") if path.is_file())


def test_onnxruntime__leaves_no_device_number_in_the_home(tmp_path: Path) -> None:
    assert files_after(f"import streetvision_core; {SESSION}", tmp_path / "ours") == []
    # Without our switch it does; should a later version stop that, this line fails and the switch can go.
    assert any("deviceid" in name for name in files_after("import onnxruntime", tmp_path / "theirs"))


@pytest.mark.parametrize(
    ("switch", "value"),
    [
        ("ORT_DISABLE_TELEMETRY", "1"),
        ("MLFLOW_DISABLE_TELEMETRY", "true"),
        ("FIFTYONE_DO_NOT_TRACK", "true"),
        ("HF_HUB_DISABLE_TELEMETRY", "1"),
        ("RAY_USAGE_STATS_ENABLED", "0"),
        ("DO_NOT_TRACK", "true"),
    ],
)
def test_switches__are_set_and_a_users_own_value_stands(switch: str, value: str) -> None:
    code = f"import os; import streetvision_core; print(os.environ[{switch!r}])"
    values = {k: v for k, v in os.environ.items() if k != switch}
    printed = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env).stdout.strip()
        for env in (values, values | {switch: "own"})
    ]
    assert printed == [value, "own"]
