"""Which folder is the workspace: where models, query log, labels and reports lie, and `streetvision.yaml` stands.

A command takes the first of these:

1. `--workspace FOLDER`;
2. the environment: `SV_PATHS__HOME` (every child process gets it);
3. the nearest workspace at or above the current folder: one with a `streetvision.yaml`, a checkout of StreetVision, or
   one that an earlier StreetVision made;
4. the one used last, which the user's state folder remembers (`$XDG_STATE_HOME/streetvision/workspace`);
5. `$XDG_DATA_HOME/streetvision`, made at the first use. Nothing is ever made in the current folder unasked:
   `streetvision init FOLDER` does that.

What other modules use: `find_workspace(explicit=None) -> Workspace` (looks, makes nothing), `create_workspace(folder)`,
`remember_workspace(workspace)`, `read_workspace_file(home)` (the settings in the file), `check_writable(folder)`,
`FORMAT`, `WorkspaceError`.

Example:
    >>> import tempfile
    >>> made = create_workspace(Path(tempfile.mkdtemp()) / "mine")
    >>> find_workspace(made.home).format
    2
"""

from __future__ import annotations

import json
import os
import re
import shlex
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from streetvision_core.errors import StorageError, WorkspaceError
from streetvision_core.storage import atomic_write_text

__all__ = [
    "FILE",
    "FORMAT",
    "Workspace",
    "WorkspaceError",
    "check_writable",
    "create_workspace",
    "find_checkout",
    "find_workspace",
    "read_workspace_file",
    "remember_workspace",
    "write_format",
]

FILE: Final = "streetvision.yaml"
FORMAT: Final = 2
"""Of new workspaces; format 1 had no file."""
HOME_VARIABLE: Final = "SV_PATHS__HOME"
_PATHS_VARIABLE: Final = "SV_PATHS"
_EARLIER: Final = ("data/models/promotions.jsonl", "data/queries", "data/days")
"""Any of these lies in a workspace of format 1."""
_FORMAT_LINE: Final = re.compile(r"format\s*:")
_TEXT: Final = """\
# A StreetVision workspace: models, query log, labels and reports lie beside this file.
# Settings may stand here, by section; the command line and SV_ variables are stronger, the profile is weaker. Example:
#   cascade:
#     alpha: 0.02
format: {format}
"""


@dataclass(frozen=True, slots=True)
class Workspace:
    """One workspace, and how it was found.

    Attributes:
        home: its folder, absolute; it may not exist yet where the environment or the user's data folder names it.
        found: in words, for the line that says which workspace a command took.
    """

    home: Path
    found: str

    @property
    def file(self) -> Path:
        """Its `streetvision.yaml`."""
        return self.home / FILE

    @property
    def format(self) -> int:
        """What the file says; without one, 1 where labels lie as an earlier StreetVision kept them, else today's.

        Raises:
            WorkspaceError: the file is not one of ours, or of a later format.
        """
        if self.file.is_file():
            return _format(self.file, _parse(self.file))
        return 1 if _has_old_labels(self.home) else FORMAT

    def describe(self) -> str:
        """One line for people."""
        return f"workspace {self.home} ({self.found})"


def find_workspace(explicit: Path | None = None) -> Workspace:
    """The workspace a command works in; nothing is made, and no file is read beyond whether it is there.

    Args:
        explicit: what `--workspace` names.

    Raises:
        WorkspaceError: `explicit` is no workspace, or there is none and no home folder to make one in.
    """
    if explicit is not None:
        return _named(explicit)
    if home := _of_environment():
        return Workspace(Path(home).expanduser().resolve(), f"named by {HOME_VARIABLE}")
    here = _current_folder()
    for folder in (here, *here.parents) if here is not None else ():
        if found := _marked(folder):
            return Workspace(folder, found if folder == here else f"{found}, above the current folder")
    if (last := _last_used()) is not None:
        return Workspace(last, "the one used last")
    return Workspace(_default_home(), "the one in your data folder")


def create_workspace(folder: Path) -> Workspace:
    """Makes a folder a workspace; one that is a workspace already stays as it is.

    Raises:
        WorkspaceError: the path cannot be written, or is not a folder.
    """
    home = folder.expanduser().resolve()
    if found := _marked(home):
        return Workspace(home, found)
    try:
        atomic_write_text(home / FILE, _TEXT.format(format=FORMAT))
    except StorageError as error:
        raise WorkspaceError(
            got=f"{home}, where {FILE} cannot be written",
            allowed="a folder of yours on a disk with space",
            action="name another: streetvision init FOLDER",
            path=str(home),
        ) from error
    return Workspace(home, "made now")


def write_format(home: Path) -> None:
    """Writes today's format into a workspace's file, which is made if there is none; its settings stay.

    Raises:
        StorageError: it cannot be written.
        WorkspaceError: the file is not one of ours.
    """
    file = home / FILE
    if not file.is_file():
        atomic_write_text(file, _TEXT.format(format=FORMAT))
    elif _format(file, _parse(file)) != FORMAT:
        lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
        atomic_write_text(file, "".join(f"format: {FORMAT}\n" if _FORMAT_LINE.match(line) else line for line in lines))


def remember_workspace(workspace: Workspace) -> None:
    """Notes it as the one used last; where there is no home folder, or it is read-only, nothing is noted."""
    if not _marked(workspace.home):  # a mistyped SV_PATHS__HOME must not take the place of the one used before
        return
    if (file := _state_file()) is None or _read(file) == str(workspace.home):
        return
    with suppress(StorageError, OSError):
        atomic_write_text(file, f"{workspace.home}\n")


def check_writable(folder: Path) -> None:
    """Refuses a folder that cannot be written, before anything is started that would write there.

    Raises:
        WorkspaceError: it cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".writable-"):
            return
    except OSError as error:
        raise WorkspaceError(
            got=f"{folder}, which cannot be written ({error.strerror or error})",
            allowed="a workspace of yours, on a disk with space",
            action="change the folder's rights, or make another workspace: streetvision init FOLDER",
            path=str(folder),
        ) from error


def read_workspace_file(home: Path) -> dict[str, Any]:
    """The settings that a workspace's file holds; empty where there is no file.

    Raises:
        WorkspaceError: the file is not one of ours, or was written for a later StreetVision.
    """
    file = home / FILE
    if not file.is_file():
        return {}
    values = _parse(file)
    _format(file, values)
    return {key: value for key, value in values.items() if key != "format" and value is not None}


def find_checkout(folder: Path) -> Path | None:
    """The checkout of StreetVision that a folder lies in."""
    return next((one for one in (folder, *folder.parents) if _is_checkout(one)), None)


def _named(explicit: Path) -> Workspace:
    home = explicit.expanduser().resolve()
    if not _marked(home):
        raise WorkspaceError(
            got=f"{home}, which is no workspace" if home.is_dir() else f"{home}, which is no folder",
            allowed=f"a folder with a {FILE}",
            action=f"make it one: streetvision init {_quoted(home)}",
            path=str(home),
        )
    return Workspace(home, "named by --workspace")


def _of_environment() -> str | None:
    if named := os.environ.get(HOME_VARIABLE):
        return named
    with suppress(ValueError, AttributeError):  # what is no JSON is refused by name when the settings are read
        return json.loads(os.environ.get(_PATHS_VARIABLE, "{}")).get("home") or None
    return None


def _current_folder() -> Path | None:
    try:
        return Path.cwd()
    except OSError:  # it was removed under us
        return None


def _marked(folder: Path) -> str:
    """Why a folder is a workspace, in words; empty if it is none."""
    try:
        if (folder / FILE).is_file():
            return f"its {FILE}"
        if _is_checkout(folder):
            return "the checkout"
        return "made by an earlier StreetVision" if _is_earlier(folder) else ""
    except OSError:  # a folder above that this user may not look into
        return ""


def _is_checkout(folder: Path) -> bool:
    return (folder / "streetvision_core").is_dir() and (folder / "pyproject.toml").is_file()


def _is_earlier(folder: Path) -> bool:
    return (folder / _EARLIER[0]).is_file() or all((folder / name).is_dir() for name in _EARLIER[1:])


def _has_old_labels(home: Path) -> bool:
    """Whether labels lie in files a day, which format 1 kept and format 2 reads no more."""
    days = home / "data" / "days"
    if any(days.glob("*/decisions.csv")):
        return True
    # Since the label store these files name images by their digest.
    old = (path.with_name("weak.json") for path in days.glob("*/annotations.json"))
    return any('"image"' not in _read(path) for path in old)


def _last_used() -> Path | None:
    file = _state_file()
    text = _read(file) if file is not None else ""
    return Path(text) if text and Path(text).is_absolute() and _marked(Path(text)) else None


def _state_file() -> Path | None:
    folder = _user_folder("XDG_STATE_HOME", ".local/state")
    return folder / "streetvision" / "workspace" if folder is not None else None


def _default_home() -> Path:
    folder = _user_folder("XDG_DATA_HOME", ".local/share")
    if folder is None:
        raise WorkspaceError(
            got="no workspace at or above the current folder, and no home folder to make one in",
            allowed=f"--workspace FOLDER, {HOME_VARIABLE}, or a current folder inside a workspace",
            action="make one: streetvision init FOLDER, then add --workspace FOLDER",
        )
    return folder / "streetvision"


def _user_folder(variable: str, beside_home: str) -> Path | None:
    """A folder of the user by the XDG rules; None where the user has no home."""
    named = os.environ.get(variable, "")
    if Path(named).is_absolute():  # the rules: a relative one is ignored
        return Path(named)
    with suppress(RuntimeError):  # no HOME, and no entry in the list of users
        if (home := Path.home()).is_dir():
            return home / beside_home
    return None


def _read(file: Path) -> str:
    with suppress(OSError, ValueError):
        return file.read_text(encoding="utf-8").strip()
    return ""


def _parse(file: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise _unreadable(file, " ".join(str(error).split())) from error
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise _unreadable(file, "no settings by name in it")
    return values


def _format(file: Path, values: dict[str, Any]) -> int:
    number = values.get("format")
    if type(number) is not int or number < 1:
        raise _unreadable(file, f"format = {number!r}")
    if number > FORMAT:
        raise WorkspaceError(
            got=f"{file} of format {number}",
            allowed=f"formats up to {FORMAT}",
            action="use the StreetVision that wrote it, or a newer one",
            path=str(file),
        )
    return number


def _unreadable(file: Path, why: str) -> WorkspaceError:
    return WorkspaceError(
        got=f"{file}: {why}",
        allowed=f"YAML with `format: {FORMAT}` and settings by section",
        action=f"correct the file, or remove it and run: streetvision init {_quoted(file.parent)}",
        path=str(file),
    )


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))
