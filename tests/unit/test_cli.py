import pytest
import typer
from typer.testing import CliRunner

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


def test_cli__wrong_usage_is_exit_code_2():
    assert CliRunner().invoke(app, ["daily", "--days", "many"]).exit_code == 2
