"""What messages and documents advise exists: commands, their options, make targets, modules, settings."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from pydantic import BaseModel

from streetvision_core.cli._app import app
from streetvision_core.errors import MissingExtraError, install_command
from streetvision_core.ops.install import OVERRIDES, PINS, extra_names, install, requirements
from streetvision_core.settings import Settings

ROOT = Path(__file__).parents[2]
PACKAGE = sorted((ROOT / "streetvision_core").rglob("*.py"))
DOCUMENTS = [
    path
    for pattern in ("*.md", "docs/**/*.md", "data/*.md", "deploy/*.md", "notebooks/*.md", "reports/*.md", "envs/*.md")
    for path in sorted(ROOT.glob(pattern))
    if path.name not in ("log.md", "CHANGELOG.md")  # they tell what was, under the names of its time
]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
COMMAND = re.compile(r"(?<![\w./@-])streetvision((?: +[^\s·;`()\"'|>&{}]+)+)")
MAKE = re.compile(r"(?:`|run: )make((?: [A-Za-z_]+=\S*| [a-z-]+)+)")
MODULE = re.compile(r"python -m (streetvision_core[\w.]*)")
VARIABLE = re.compile(r"\bSV_[A-Z0-9_]*[A-Z0-9]\b")
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
TREE = typer.main.get_command(app)


def texts(source: str) -> Iterator[str]:
    """The strings of a module; what an f-string fills in stands as X."""
    inside: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.JoinedStr):
            inside |= {id(part) for part in node.values}
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "X" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
            yield node.value


def code(document: str) -> Iterator[str]:
    """Code blocks and `code` of a document, line by line."""
    for block in re.findall(r"^```\w*\n(.*?)^```", document, re.MULTILINE | re.DOTALL):
        yield from (f"`{line.split(' #')[0]}`" for line in block.replace("\\\n", " ").splitlines())
    for part in re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", document, flags=re.MULTILINE | re.DOTALL)):
        yield f"`{part}`"


def faults(text: str) -> list[str]:
    """What a text advises and does not exist."""
    found = [fault for match in COMMAND.finditer(text) if (fault := command_fault(match.group(1).split()))]
    for match in MAKE.finditer(text):
        found += [f"make {word}" for word in match.group(1).split() if "=" not in word and word not in TARGETS]
    found += [f"python -m {name}" for name in MODULE.findall(text) if not module_exists(name.rstrip("."))]
    return found + [name for name in VARIABLE.findall(text) if not setting_exists(name)]


def command_fault(words: list[str]) -> str:
    command, path = TREE, []
    while words and hasattr(command, "commands") and not words[0].startswith("-"):
        name = words.pop(0).rstrip(".,:")
        if name not in command.commands:
            return " ".join(["streetvision", *path, name])
        command, path = command.commands[name], [*path, name]
    options = {option for one in (command, TREE) for param in one.params for option in param.opts} | {"--help"}
    wrong = [word for word in words if word.startswith("--") and word.rstrip(".,:").split("=")[0] not in options]
    return " ".join(["streetvision", *path, *wrong]) if wrong else ""


def module_exists(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def setting_exists(variable: str) -> bool:
    model: type[BaseModel] | None = Settings
    for part in variable.removeprefix("SV_").lower().split("__"):
        if part == "x":  # an f-string fills the rest in
            return True
        if model is None or part not in model.model_fields:
            return False
        kind = model.model_fields[part].annotation
        model = kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None
    return True


@pytest.mark.parametrize(
    "text",
    [
        "run: streetvision mine --day 2026-11-23",
        "run: streetvision mend",
        "`streetvision models pul x`",
        "run: make setup-al",
        "`make rune`",
        "run: python -m streetvision_core.mend",
        "set SV_DECODE__MAX_SCANS=7",
    ],
)
def test_faults__can_be_found(text):
    assert faults(text)


@pytest.mark.parametrize(
    "text",
    ["streetvision select --day X, then", "make it again", "`make setup EXTRAS=video`", "SV_SEED", "SV_PATHS__HOME"],
)
def test_faults__none_in_what_exists(text):
    assert faults(text) == []


@pytest.mark.parametrize("path", PACKAGE, ids=lambda path: str(path.relative_to(ROOT)))
def test_package__advises_what_exists(path):
    assert [fault for text in texts(path.read_text()) for fault in faults(text)] == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_documents__advise_what_exists(path):
    assert [fault for text in code(path.read_text()) for fault in faults(text)] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebooks__advise_what_exists(path):
    cells = ["".join(cell["source"]) for cell in json.loads(path.read_text())["cells"]]
    assert [fault for cell in cells for fault in faults(cell)] == []


SECTIONS = {
    name: field.annotation
    for name, field in Settings.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
}
DOTTED = re.compile(rf"(?<![\w./-])({'|'.join(SECTIONS)})\.([a-z_0-9]+)\b(?![./(])")


def unknown_settings(source: str) -> list[str]:
    """Settings by their dotted name that an error allows or advises and that do not exist."""
    found = []
    for call in [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]:
        name = getattr(call.func, "id", getattr(call.func, "attr", ""))
        parts = [word.value for word in call.keywords if word.arg in ("action", "allowed")]
        parts += call.args[1:3] if name.endswith("Error") else []
        said = [node.value for part in parts for node in ast.walk(part) if isinstance(node, ast.Constant)]
        found += [match for text in said if isinstance(text, str) for match in DOTTED.finditer(text)]
    return [match.group() for match in found if match.group(2) not in SECTIONS[match.group(1)].model_fields]


def test_unknown_settings__can_be_found():
    assert unknown_settings('ImageError("a", "b", "set decode.max_scams")') == ["decode.max_scams"]
    assert unknown_settings('ImageError(got="a", action="set decode.max_bytes higher")') == []


@pytest.mark.parametrize("path", PACKAGE, ids=lambda path: str(path.relative_to(ROOT)))
def test_package__names_settings_that_exist(path):
    assert unknown_settings(path.read_text()) == []


def test_installing__nobody_is_sent_to_a_resolution_that_pip_makes():
    risky = re.compile(r"pip install (?!.*(--no-deps|-r envs/|--dry-run|-r \{|uv\b)).*(streetvision|-e \.|constraints)")
    spoken = {path: [t for t in texts(path.read_text()) if risky.search(t)] for path in PACKAGE}
    spoken = {path.name: found for path, found in spoken.items() if found and path.name != "install.py"}
    assert spoken == {}
    assert [p.name for p in DOCUMENTS if any(risky.search(line) for line in code(p.read_text()))] == []


def advised_extras() -> list[str]:
    """Every extra that some error names."""
    calls = [
        call
        for path in PACKAGE
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call)
        and getattr(call.func, "id", "") in ("MissingExtraError", "install_command")
        and call.args
    ]
    return sorted({one.args[-1].value for one in calls if isinstance(one.args[-1], ast.Constant)})


def test_installing__every_advised_extra_exists():
    assert {"gpu", "workbench", "tensorrt"} <= set(advised_extras()) <= set(extra_names())
    assert MissingExtraError("timm", "gpu").action == "run: streetvision install gpu"


def test_installing__the_overrides_are_those_of_the_project():
    listed = re.search(r"override-dependencies = \[(.*?)\n\]", (ROOT / "pyproject.toml").read_text(), re.DOTALL)
    assert re.findall(r'"([^"]+)"', listed.group(1)) == list(OVERRIDES)
    assert PINS.read_text() == (ROOT / "constraints.txt").read_text()
    assert not re.search(r"^opencv-python==", PINS.read_text(), re.MULTILINE)


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """The interpreter of an environment with nothing in it."""
    folder = tmp_path_factory.mktemp("bare") / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    return folder / "bin" / "python"


@pytest.mark.parametrize("extra", ["", *advised_extras()])
def test_install__uv_in_an_empty_environment_takes_no_second_opencv(extra, bare, capfd, monkeypatch):
    monkeypatch.setattr("streetvision_core.ops.install.target", lambda: str(bare))
    status = install([extra] if extra else [], dry_run=True, with_uv=True)
    said = capfd.readouterr().err
    if status and re.search(r"error sending request|Failed to fetch|Connection refused|dns error", said):
        pytest.skip("no package index can be reached")
    assert status == 0, said
    taken = re.findall(r"^ \+ ([\w.-]+)==", said, re.MULTILINE)
    wanted = {re.split(r"[\[<>=! ]", one)[0].lower() for one in requirements([extra] if extra else [])}
    assert {one.replace("_", "-") for one in wanted} <= set(taken)
    assert "opencv-python" not in taken


def test_install__pip_takes_the_whole_set_and_no_second_opencv(capfd):
    assert install(["video"], dry_run=True, with_uv=False) == 0
    said = capfd.readouterr().out
    assert "opencv-python-headless==" in said
    assert not re.search(r"opencv[-_]python(==|-\d)", said)


def test_install_command__the_default_set():
    assert install_command() == "streetvision install"
    assert "av" in requirements(["video"]) or "av" in requirements([])
