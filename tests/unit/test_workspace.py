import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from streetvision_core.cli._app import app
from streetvision_core.errors import SettingsError, WorkspaceError
from streetvision_core.settings import load_settings
from streetvision_core.workspace import (
    FILE,
    FORMAT,
    Workspace,
    create_workspace,
    find_checkout,
    find_workspace,
    read_workspace_file,
    remember_workspace,
    write_format,
)


@pytest.fixture(autouse=True)
def user(tmp_path, monkeypatch):
    """A user with an empty home, in a folder of photos."""
    for key in [key for key in os.environ if key.startswith(("SV_", "XDG_"))]:
        monkeypatch.delenv(key)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("home", "photos"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "photos")
    return tmp_path


def written(folder, text):
    (folder / FILE).write_text(text)
    return folder


def test_find_workspace__what_is_named_comes_first(user, monkeypatch):
    last, above, named, explicit = (create_workspace(user / name) for name in ("last", "photos", "named", "explicit"))
    remember_workspace(last)
    (user / "photos" / "deep").mkdir()
    monkeypatch.chdir(user / "photos" / "deep")
    assert find_workspace().home == above.home
    monkeypatch.setenv("SV_PATHS", f'{{"home": "{named.home}"}}')
    assert find_workspace().home == named.home
    monkeypatch.setenv("SV_PATHS__HOME", str(last.home))
    assert find_workspace().home == last.home
    assert find_workspace(explicit.home).home == explicit.home
    assert "--workspace" in find_workspace(explicit.home).describe()


def test_find_workspace__outside_of_all_the_last_used_then_the_users_own(user):
    assert find_workspace().home == user / "home" / ".local" / "share" / "streetvision"
    remember_workspace(create_workspace(user / "mine"))
    assert find_workspace().home == user / "mine"
    (user / "mine" / FILE).unlink()  # it is none any longer
    assert find_workspace().home == user / "home" / ".local" / "share" / "streetvision"


def test_find_workspace__knows_a_checkout_and_what_an_earlier_one_made(user, monkeypatch):
    old = user / "photos" / "data" / "models"
    old.mkdir(parents=True)
    (old / "promotions.jsonl").write_text("")
    assert find_workspace().home == user / "photos"
    assert find_workspace().format == FORMAT, "it holds no labels yet, so nothing has to be moved"
    (user / "photos" / "data" / "days" / "2026-11-02").mkdir(parents=True)
    (user / "photos" / "data" / "days" / "2026-11-02" / "decisions.csv").write_text("id,decision\n")
    assert find_workspace().format == 1
    checkout = find_checkout(Path(__file__))
    monkeypatch.chdir(checkout / "docs")
    assert find_workspace().home == checkout


@pytest.mark.parametrize("home", ["/nonexistent-home", ""])
def test_find_workspace__a_user_without_a_home(user, home):
    code = (
        "from streetvision_core.workspace import *\nimport pwd\npwd.getpwuid = lambda _: {}['nobody']\n"
        "try: find_workspace()\nexcept WorkspaceError as error: print(error.action)\n"
        f"made = create_workspace(__import__('pathlib').Path({str(user / 'mine')!r}))\nremember_workspace(made)\n"
    )
    environment = {**os.environ, "HOME": home} if home else {k: v for k, v in os.environ.items() if k != "HOME"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert "streetvision init FOLDER" in done.stdout
    assert not Path("/nonexistent-home").exists()


def test_create_workspace__is_made_once_and_keeps_what_is_there(user):
    (user / "photos" / "a.jpg").write_bytes(b"1")
    made = create_workspace(user / "photos")
    assert (made.format, sorted(p.name for p in made.home.iterdir())) == (FORMAT, ["a.jpg", FILE])
    written(made.home, "format: 2\nseed: 3\n")
    assert create_workspace(user / "photos").home == made.home
    assert read_workspace_file(made.home) == {"seed": 3}


def test_create_workspace__a_file_in_the_way_is_named(user):
    (user / "file").write_text("")
    with pytest.raises(WorkspaceError, match="streetvision init FOLDER"):
        create_workspace(user / "file" / "below")


@pytest.mark.parametrize("folder", ["photos", "absent"])
def test_find_workspace__an_explicit_folder_that_is_none_is_refused(user, folder):
    with pytest.raises(WorkspaceError, match=f"streetvision init {user / folder}"):
        find_workspace(user / folder)


@pytest.mark.parametrize(
    ("text", "got"),
    [
        ("", "no settings"),
        ("- a\n", "no settings"),
        ("a: [\n", "expected"),
        ("seed: 3\n", "format = None"),
        ("format: two\n", "'two'"),
        ("format: true\n", "True"),
        ("format: 99\n", "format 99"),
        ("format: 2\n\0", "special characters"),
    ],
)
def test_load_settings__a_file_that_is_not_ours_is_named(user, text, got):
    written(user / "photos", text)
    with pytest.raises(WorkspaceError, match=got) as caught:
        load_settings()
    assert FILE in str(caught.value)


def test_load_settings__command_line_environment_file_profile_default(user, monkeypatch):
    text = (
        "format: 2\nprofile: light\nseed: 3\ncascade: {alpha: 0.01, delta: 0.02}\nmodels: {detectors: [dense-lite2]}\n"
    )
    written(user / "photos", text)
    monkeypatch.setenv("SV_CASCADE__ALPHA", "0.03")
    settings = load_settings()
    assert (settings.profile, settings.seed) == ("light", 3)
    assert (settings.cascade.alpha, settings.cascade.delta) == (0.03, 0.02)
    assert settings.models.detectors == ("dense-lite2",)
    assert (
        settings.models.backbone == load_settings("light").models.backbone != load_settings("embedded").models.backbone
    )
    assert load_settings("embedded").profile == "embedded"
    monkeypatch.setenv("SV_PROFILE", "platinum")
    assert load_settings().profile == "platinum"
    assert settings.paths.home == user / "photos"


@pytest.mark.parametrize(
    ("text", "variable", "where"),
    [
        ("cascade: {alpha: 0.7}", None, f"photos/{FILE}"),
        ("cascade: {alpa: 0.1}", None, f"photos/{FILE}"),
        ("colour: red", None, f"photos/{FILE}"),
        ("cascade: 3", None, f"photos/{FILE}"),
        ("cascade: {alpha: 0.1}", "0.7", "the variable SV_CASCADE__ALPHA"),
        ("seed: 1", "0.7", "the variable SV_CASCADE__ALPHA"),
        ("profile: gold", None, "`profile`"),
        ("paths: {home: /tmp}", None, "--workspace"),
    ],
)
def test_load_settings__a_wrong_value_names_where_it_stands(user, monkeypatch, text, variable, where):
    written(user / "photos", f"format: 2\n{text}\n")
    if variable:
        monkeypatch.setenv("SV_CASCADE__ALPHA", variable)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert where in caught.value.action


def call(*arguments):
    done = CliRunner().invoke(app, list(arguments))
    return done, [line for line in done.stderr.splitlines() if line.startswith("workspace ")]


def test_cli__says_which_workspace_in_one_line_and_remembers_it(user):
    mine = user / "mine"
    assert call("init", str(mine))[0].exit_code == 0
    done, lines = call("history", "--json")
    assert (done.stdout, lines) == ("[]\n", [f"workspace {mine} (the one used last)"])
    other = create_workspace(user / "other").home
    for place in (["--workspace", str(other), "history"], ["history", "--workspace", str(other)]):
        assert call(*place)[1] == [f"workspace {other} (named by --workspace)"]
    assert call("history")[1] == [f"workspace {other} (the one used last)"]
    assert "SV_PATHS__HOME" not in os.environ


def test_cli__makes_nothing_in_the_current_folder(user):
    done, lines = call("history")
    own = user / "home" / ".local" / "share" / "streetvision"
    assert lines == [f"workspace {own} (made now); streetvision init FOLDER makes one elsewhere"]
    assert (own / FILE).is_file()
    assert done.exit_code == 0
    assert list((user / "photos").iterdir()) == []


@pytest.mark.parametrize("command", [["history"], ["models", "list"], ["keys", "list"]])
def test_cli__every_command_takes_a_workspace(command):
    assert "--workspace" in CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": "160"}).output


@pytest.mark.parametrize(
    ("weak", "found"), [('{"frames": [{"id": "query-1"}]}', 1), ('{"frames": [{"image": "ab"}]}', 2)]
)
def test_format__labels_of_a_day_tell_old_from_new(user, weak, found):
    """Both formats keep `annotations.json`; since the label store its neighbour names images by their digest."""
    day = user / "photos" / "data" / "days" / "2026-11-02"
    day.mkdir(parents=True)
    (day / "annotations.json").write_text("[]")
    (day / "weak.json").write_text(weak)
    assert Workspace(user / "photos", "").format == found


def test_write_format__makes_the_file_or_moves_its_number(user):
    home = user / "photos"
    write_format(home)
    assert Workspace(home, "").format == FORMAT
    (home / FILE).write_text("# mine\nseed: 3\nformat: 1\n")
    write_format(home)
    assert (home / FILE).read_text() == f"# mine\nseed: 3\nformat: {FORMAT}\n"


def test_remember_workspace__a_folder_that_is_none_does_not_replace_the_last_used(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("SV_PATHS__HOME", raising=False)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    good = create_workspace(tmp_path / "good")
    remember_workspace(good)
    remember_workspace(Workspace(tmp_path / "typo", "named by SV_PATHS__HOME"))
    assert find_workspace().home == good.home
