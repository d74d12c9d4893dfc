from __future__ import annotations

import configparser
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from streetvision_core.cli._app import app as cli
from streetvision_core.errors import SettingsError
from streetvision_core.ops.render import DEFAULT_HOME, DEFAULT_PYTHON, render_schedules, write_schedules
from streetvision_core.workspace import create_workspace

DEPLOY = Path(__file__).resolve().parents[3] / "deploy"
UNITS = (
    "streetvision-daily.service",
    "streetvision-daily.timer",
    "streetvision-weekly.service",
    "streetvision-weekly.timer",
    "streetvision-gateway.service",
    "streetvision-model@.service",
)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with a space in its name, in which the command prints how it was called."""
    home = tmp_path / "street vision"
    binary = home / ".venv" / "bin" / "streetvision"
    binary.parent.mkdir(parents=True)
    (home / "data").mkdir()
    binary.write_text('#!/bin/sh\necho "$SV_PROFILE|$SV_PATHS__HOME|$(pwd)|$*"\n')
    binary.chmod(0o755)
    return home


@pytest.fixture
def rendered(home: Path) -> dict[str, str]:
    return render_schedules(home, home / ".venv" / "bin" / "python", user="root", daily="03:05", weekly="07:40")


def test_render_schedules__deploy_holds_the_default() -> None:
    texts = render_schedules(DEFAULT_HOME, DEFAULT_PYTHON)
    assert {name: (DEPLOY / name).read_text() for name in texts} == texts
    assert {p.name for p in DEPLOY.iterdir()} >= {*texts, "README.md"}


def test_render_schedules__every_format_calls_the_command(home: Path, rendered: dict[str, str]) -> None:
    lines = [line for line in rendered["streetvision.cron"].splitlines() if line and not line.startswith("#")]
    assert lines[:2] == ["SHELL=/bin/sh", "SV_PROFILE=embedded"]
    for line, minute, hour, weekday, what in [(lines[2], "5", "3", "*", "daily"), (lines[3], "40", "7", "1", "weekly")]:
        fields = line.split(maxsplit=5)
        assert fields[:5] == [minute, hour, "*", "*", weekday]
        subprocess.run(
            ["/bin/sh", "-c", fields[5]], check=True, env={"SV_PROFILE": "embedded", "PATH": "/usr/bin:/bin"}
        )
        called = (home / "data" / "schedule.log").read_text().splitlines()[-1]
        assert called == f"embedded|{home}|{home}|{what}"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_render_schedules__systemd_accepts_the_units(tmp_path: Path, rendered: dict[str, str]) -> None:
    units = tmp_path / "units"
    write_schedules(units, {name: rendered[name] for name in UNITS})
    ran = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *(str(units / n) for n in UNITS)], capture_output=True, text=True
    )
    ours = [line for line in ran.stderr.splitlines() if "streetvision" in line]
    assert (ran.returncode, ours) == (0, [])
    # the same tool refuses a unit that is wrong, so the line above can fail
    (units / UNITS[0]).write_text(rendered[UNITS[0]].replace("oneshot", "manyshots").replace("ExecStart", "ExecStar"))
    harmed = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(units / UNITS[0])], capture_output=True, text=True
    )
    assert "streetvision-daily.service" in harmed.stderr


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
@pytest.mark.parametrize("timer", ["streetvision-daily.timer", "streetvision-weekly.timer"])
def test_render_schedules__systemd_understands_the_times(rendered: dict[str, str], timer: str) -> None:
    when = next(line for line in rendered[timer].splitlines() if line.startswith("OnCalendar=")).split("=", 1)[1]
    ran = subprocess.run(["systemd-analyze", "calendar", when], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert ("03:05:00" if "daily" in timer else "07:40:00") in ran.stdout


def test_render_schedules__unit_sections(rendered: dict[str, str], home: Path) -> None:
    for name in UNITS:
        unit = configparser.ConfigParser(strict=False, interpolation=None)
        unit.optionxform = str  # type: ignore[assignment,method-assign]
        unit.read_string(rendered[name])
        if name.endswith("service"):
            assert unit["Service"]["WorkingDirectory"] == str(home)
            assert unit["Service"]["ExecStart"].startswith(f'"{home}/.venv/bin/streetvision" ')
        else:
            assert unit["Install"]["WantedBy"] == "timers.target"
            assert (name.removesuffix("timer") + "service") in UNITS


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_render_schedules__node_reads_the_pm2_file(tmp_path: Path, rendered: dict[str, str], home: Path) -> None:
    path = tmp_path / "ecosystem.config.cjs"
    path.write_text(rendered[path.name])
    script = f"console.log(JSON.stringify(require({json.dumps(str(path))})))"
    apps = json.loads(subprocess.run(["node", "-e", script], capture_output=True, text=True, check=True).stdout)["apps"]
    assert [(a["name"], a["args"], a["cron_restart"]) for a in apps] == [
        ("streetvision-daily", ["daily"], "5 3 * * *"),
        ("streetvision-weekly", ["weekly"], "40 7 * * 1"),
    ]
    for app in apps:
        assert app["script"] == str(home / ".venv" / "bin" / "streetvision")
        assert (app["interpreter"], app["autorestart"], app["cwd"]) == ("none", False, str(home))
        assert app["env"] == {"SV_PROFILE": "embedded", "SV_PATHS__HOME": str(home)}


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_render_schedules__node_reads_the_servers_pm2_file(tmp_path: Path, rendered: dict[str, str]) -> None:
    path = tmp_path / "ecosystem.serve.config.cjs"
    path.write_text(rendered[path.name])
    script = f"console.log(JSON.stringify(require({json.dumps(str(path))})))"
    apps = json.loads(subprocess.run(["node", "-e", script], capture_output=True, text=True, check=True).stdout)["apps"]
    assert [a["name"] for a in apps] == ["streetvision-model-blue", "streetvision-model-green", "streetvision-gateway"]
    assert all(a["autorestart"] for a in apps)
    for app in apps:  # the command takes these arguments
        serve = typer.main.get_command(cli).commands["serve"]  # type: ignore[attr-defined]
        assert serve.make_context("serve", app["args"][1:]).params["role"].value in ("model", "gateway")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"home": "streetvision"}, "absolute path"),
        ({"home": "/srv/100%"}, "absolute path"),
        ({"home": "/srv/it's"}, "absolute path"),
        ({"home": "/srv/a\nb"}, "absolute path"),
        ({"python": "python3"}, "absolute path"),
        ({"daily": "24:00"}, "HH:MM"),
        ({"weekly": "6"}, "HH:MM"),
        ({"user": "root; reboot"}, "Unix user name"),
        ({"profile": "gold"}, "embedded"),
    ],
)
def test_render_schedules__refuses(change: dict[str, str], message: str) -> None:
    values = {"home": "/opt/sv", "python": "/opt/sv/bin/python", **change}
    with pytest.raises(SettingsError, match=message):
        render_schedules(**values)


def test_doctor_module__loads_nothing_heavy() -> None:
    code = "import sys, streetvision_core.ops.doctor, streetvision_core.ops.render; print('\\n'.join(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "fiftyone", "mlflow", "onnxruntime", "cv2"} & set(ran.stdout.split())


def test_schedule__runs_the_profile_and_the_workspace_that_are_named(tmp_path: Path) -> None:
    workspace = create_workspace(tmp_path / "my streets").home
    done = CliRunner().invoke(
        cli, ["schedule", "--profile", "light", "--workspace", str(workspace), "--out", str(tmp_path)]
    )
    assert done.exit_code == 0
    for name in ("streetvision.cron", "streetvision-daily.service", "ecosystem.config.cjs"):
        text = (tmp_path / name).read_text()
        assert "light" in text
        assert "embedded" not in text
        assert str(workspace) in text
