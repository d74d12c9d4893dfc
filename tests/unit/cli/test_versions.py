"""`streetvision versions` as a person and as a script use it, on a registry of its own."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import CliRunner

from streetvision_core.cli._app import app
from streetvision_core.cli._versions import versions
from streetvision_core.errors import PreprocessMismatchError, RegistryError
from streetvision_core.registry.decision import GateDecision, protocol_sha256
from streetvision_core.registry.versions import Registry
from streetvision_core.serving import run

RULES = {"name": "a protocol"}
PASSED = GateDecision(True, ("Challenger promoted: every part passed.",), {"p": 0.01}, RULES, protocol_sha256(RULES))


@pytest.fixture
def registry(tmp_path, monkeypatch):
    monkeypatch.setenv("SV_PATHS__HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "80")
    registry = Registry(tmp_path / "data" / "models")
    names = [
        registry.create({"head.json": b"[%d]" % n}, {"learned_from": f"{n} photos \x1b[31mred"}).name for n in range(3)
    ]
    registry.install_first(names[0], by="loop")
    return registry


def ask(*words, code=0):
    result = CliRunner().invoke(app, ["versions", *words])
    assert result.exit_code == code, (result.output, result.exception)
    return result.output


def width(*words):
    """The longest line on stdout; notices go to stderr."""
    return max(len(line) for line in CliRunner().invoke(app, ["versions", *words]).stdout.splitlines())


def read(*words, code=0):
    result = CliRunner().invoke(app, ["versions", *words, "--json"])
    assert result.exit_code == code, (result.output, result.exception)
    return json.loads(result.stdout)


def test_versions__has_the_promised_commands():
    promised = {"list", "show", "compare", "approve", "hold", "unhold", "rollback", "pin", "unpin", "served-at"}
    assert promised | {"history", "export", "import"} == {command.name for command in versions.registered_commands}


@pytest.mark.parametrize("command", sorted(command.name for command in versions.registered_commands))
def test_help__has_an_example(command):
    assert f"streetvision versions {command}" in ask(command, "--help")


def test_list__shows_state_in_80_columns_without_control_characters(registry):
    second = registry.list()[1]
    registry.settle(second, PASSED, "ask")
    text = ask("list")
    assert "\x1b" not in text
    assert width("list") <= 80
    rows = read("list")
    assert [row["state"] for row in rows["versions"]] == ["registered", "waits", "serves, champion"]
    assert rows["notices"] == [f"{second.name} passed the gate and waits: streetvision versions approve {second.name}"]


def test_list__empty(tmp_path, monkeypatch):
    monkeypatch.setenv("SV_PATHS__HOME", str(tmp_path))
    assert "no version yet" in ask("list")
    assert read("list") == {"versions": [], "notices": []}


def test_list__says_when_the_serving_version_grows_old(tmp_path, monkeypatch):
    monkeypatch.setenv("SV_PATHS__HOME", str(tmp_path))
    made = datetime.now(UTC) - timedelta(days=81)
    registry = Registry(tmp_path / "data" / "models", clock=lambda: made)
    registry.install_first(registry.create({"head.json": b"{}"}, {}), by="loop")
    assert "is 81 days old; it should be replaced within 9 days" in ask("list")


def test_approve_hold_rollback_pin__stand_in_the_history(registry):
    first, second, third = (version.name for version in registry.list())
    registry.settle(second, PASSED, "ask")
    assert read("approve", "--by", "Ada")["version"] == second
    assert registry.promotions.champion() == second
    text = ask("rollback", "--by", "Ada", "--reason", "it sees ghosts everywhere")
    assert "is champion again" in text
    assert "streetvision versions unhold" in text
    assert read("unhold", "--by", "Ada")["action"] == "unhold"
    assert read("hold", "--by", "Bob", "--reason", "the camera is new")["version"] == first
    assert read("pin", second, "--by", "Bob", "--reason", "shown at the fair")["version"] == second
    assert "is pinned by Bob and serves" in ask("unhold", "--by", "Bob")
    ask("unpin")
    event = read("approve", third, "--by", "Cy", "--override", "the gate has no night photos")
    assert (event["action"], event["by"], event["reason"]) == ("override", "Cy", "the gate has no night photos")
    actions = [event["action"] for event in read("history")]
    assert actions == [
        "first", "challenge", "pass", "approve", "rollback", "unhold", "hold", "pin", "unhold", "unpin", "override"
    ]  # fmt: skip
    assert width("history") <= 80


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["approve"], "while nothing waits"),
        (["approve", "v0002"], "an approval of v0002"),
        (["approve", "--override", "for no version at all"], "--override without a version"),
        (["approve", "v0002", "--override", "because"], "at least three words"),
        (["approve", "v0009", "--override", "it does not exist"], "'v0009', which is no version here"),
        (["unhold"], "no hold to end"),
        (["unpin"], "no pin to end"),
        (["pin", "v0002", "--reason", "nobody has tested it"], "neither served nor passed"),
        (["rollback", "--reason", "to nothing at all"], "only one version has ever served"),
        (["served-at", "yesterday"], "the time 'yesterday'"),
        (["served-at", "2026-13-01"], "the time '2026-13-01'"),
        (["served-at", "0001-01-01T00:00+14:00"], "the time '0001-01-01T00:00+14:00'"),
        (["import", "absent.zip"], "absent.zip, which is no archive"),
        (["export", "v0001", "/no/such/folder/x.zip"], "while writing /no/such/folder/x.zip"),
    ],
)
def test_refusals__are_named(registry, words, message):
    result = CliRunner().invoke(app, ["versions", *words])
    assert isinstance(result.exception, Exception)
    assert message in str(result.exception)


def test_decisions__refuse_a_version_that_this_profile_cannot_load(registry):
    head = {"backbone": "dinov3", "preprocessing": "center-crop-224/1"}
    name = registry.create({"head.json": json.dumps(head).encode()}, {}).name
    for words in (["approve", name, "--override", "it is so large"], ["pin", name, "--reason", "it is so large"]):
        result = CliRunner().invoke(app, ["versions", *words])
        assert isinstance(result.exception, PreprocessMismatchError)
        assert "made with dinov3 center-crop-224/1" in str(result.exception)


def test_serve__a_pin_reaches_the_model_servers_it_starts(registry, monkeypatch):
    calls = []
    monkeypatch.setattr(run, "serve", lambda *arguments, **_: calls.append(arguments))
    first, _, unknown = (version.name for version in registry.list())
    assert CliRunner().invoke(app, ["serve", "--pin", first]).exit_code == 0
    command = calls[0][5]
    assert command[command.index("--pin") + 1] == first
    assert command[-1] == "--listen", "the address is added at its end"
    assert CliRunner().invoke(app, ["serve"], env={"STREETVISION_PIN": first}).exit_code == 0
    assert calls[1][5] == command
    assert CliRunner().invoke(app, ["serve"]).exit_code == 0
    assert "--pin" not in calls[2][5]
    refused = CliRunner().invoke(app, ["serve", "--pin", unknown])
    assert "which nobody has put up for service" in str(refused.exception)
    gateway = ["serve", "--role", "gateway", "--model", "http://127.0.0.1:1"]
    refused = CliRunner().invoke(app, [*gateway, "--pin", first])
    assert "a gateway that starts no model server" in str(refused.exception)
    assert CliRunner().invoke(app, gateway, env={"STREETVISION_PIN": first}).exit_code == 0
    assert len(calls) == 4


def test_served_at__dates_times_and_zones(registry):
    assert read("served-at", "2020-02-02", code=3) is None
    assert "no version served at 2020-02-02 00:00:00 UTC" in ask("served-at", "2020-02-02", code=3)
    first = registry.list()[0].name
    for time in ("2999-01-01", "2999-01-01T10:00", "2999-01-01T10:00:00.5Z", "2999-01-01T10:00+05:30"):
        assert read("served-at", time)["version"] == first
    assert f"{first} served from" in ask("served-at", "2999-01-01")


def test_show__says_when_a_file_is_damaged(registry):
    version = registry.list()[0]
    assert read("show", "champion")["damage"] == ""
    assert width("show", "v0001") <= 80
    version.path("head.json").write_text("[]")
    assert "head.json" in read("show", "v0001", code=1)["damage"]


def test_compare__side_by_side_and_what_the_gate_said(registry):
    first, second, _ = (version.name for version in registry.list())
    assert "has not compared these two" in ask("compare", first, second)
    decision = GateDecision(**{**PASSED.to_dict(), "champion": first, "challenger": second})
    registry.settle(second, decision, "ask")
    found = read("compare", first, second)
    assert found["decision"]["challenger"] == second
    unequal = {row["what"] for row in found["rows"] if not row["equal"]}
    assert {"file head.json", "learned_from"} <= unequal
    assert "every part passed" in ask("compare", first, second)


def test_export_import__by_command(registry, tmp_path, monkeypatch):
    path = tmp_path / "out.zip"
    assert read("export", "champion", str(path))["version"] == registry.list()[0].name
    monkeypatch.setenv("SV_PATHS__HOME", str(tmp_path / "elsewhere"))
    got = read("import", str(path), "--by", "Ada")
    assert got["digest"] == registry.list()[0].digest
    assert "imported" in ask("list")
    assert "is registered; it serves once" in ask("import", str(path))


def test_aliases__answer_with_a_notice(registry):
    registry.settle(registry.list()[1], PASSED)
    result = CliRunner().invoke(app, ["history", "--json"])
    assert len(json.loads(result.stdout)) == 3
    assert "is now `streetvision versions history`" in result.stderr
    result = CliRunner().invoke(app, ["rollback", "--by", "Ada", "--reason", "it sees ghosts everywhere"])
    assert "is now `streetvision versions rollback`" in result.stderr
    assert registry.promotions.champion() == registry.list()[0].name


def test_command_line__a_refusal_is_exit_code_1_and_json_where_asked(registry, tmp_path):
    command = [sys.executable, "-m", "streetvision_core", "versions", "unhold", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert json.loads(done.stdout)["error"] == RegistryError.__name__
    assert "do:" in done.stderr
