import ast
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from streetvision_core import cli
from streetvision_core.cli._app import app

COMMANDS = sorted(typer.main.get_command(app).commands)


def test_cli__has_the_promised_commands():
    promised = {"doctor", "predict", "train", "calibrate", "evaluate", "select", "daily", "weekly", "serve", "replay"}
    assert promised <= set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_help__has_an_example(command):
    result = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "160"})
    assert result.exit_code == 0
    assert f"streetvision {command}" in result.output


def marked_up(source):
    """Calls of `say` that are handed markup, which it prints as it is."""
    calls = [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Call) and getattr(n.func, "id", "") == "say"]
    return [
        call.lineno
        for call in calls
        for part in ast.walk(call)
        if isinstance(part, ast.Constant) and "[/" in str(part.value)
    ]


@pytest.mark.parametrize("path", sorted(Path(cli.__file__).parent.glob("*.py")), ids=lambda path: path.stem)
def test_say__is_handed_styles_and_no_markup(path):
    assert marked_up(path.read_text()) == []


def test_say__the_test_above_can_fail():
    assert marked_up('say(f"[green]{x}[/]: done")') == [1]


def test_cli__wrong_usage_is_exit_code_2():
    assert CliRunner().invoke(app, ["daily", "--days", "many"]).exit_code == 2
