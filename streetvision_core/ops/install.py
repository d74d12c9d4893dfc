"""Installs what an extra needs into the environment that runs, the way `make setup` does.

A plain `pip install 'streetvision[…]' -c constraints.txt` is no substitute: packages ask for `opencv-python`, pip has
no overrides, and that build would be written over the headless one. uv drops it; where uv is not to be had, pip
installs the whole set of pins and resolves nothing.

It runs before anything else is there, too: `pip install --no-deps streetvision-*.whl packaging`, then
`python -m streetvision_core.ops.install`.

Example:
    >>> requirements(["openvino"])
    ['openvino']
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import metadata, resources
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement

from streetvision_core.errors import SettingsError

DISTRIBUTION: Final = "streetvision"
OVERRIDES: Final = ("opencv-python ; sys_platform == 'never'", "fiftyone-db ; sys_platform == 'never'")
"""As `[tool.uv]` in pyproject.toml, where the reasons stand; an installed package has no pyproject.toml."""
PINS: Final = Path(str(resources.files("streetvision_core") / "constraints.txt"))
"""A link to the checkout's file; a wheel holds a copy."""


def extra_names() -> list[str]:
    """The extras there are, sorted."""
    return sorted(metadata.metadata(DISTRIBUTION).get_all("Provides-Extra") or [])


def requirements(extras: Sequence[str]) -> list[str]:
    """What extras ask for beyond the default set, or the default set if none is named.

    Raises:
        SettingsError: an extra that does not exist.
    """
    for extra in extras:
        if extra not in extra_names():
            raise SettingsError(f"the extra {extra!r}", ", ".join(extra_names()), "name one of them, or none")
    found = []
    for text in metadata.requires(DISTRIBUTION) or []:
        one = Requirement(text)
        if one.marker is None:
            wanted = not extras
        else:
            plain = one.marker.evaluate({"extra": ""})
            wanted = plain if not extras else not plain and any(one.marker.evaluate({"extra": e}) for e in extras)
        if wanted:
            one.marker = None
            found.append(str(one))
    return sorted(set(found))


def install(extras: Sequence[str], *, dry_run: bool = False, with_uv: bool | None = None) -> int:
    """Installs the packages of extras, or of the default set; the installer talks to the terminal.

    Args:
        extras: names; none takes the default set.
        dry_run: only says what would be installed.
        with_uv: None takes uv where there is one, or where pip can fetch it.

    Returns:
        The installer's exit code.

    Raises:
        SettingsError: an extra that does not exist, or neither uv nor pip is there.
    """
    wanted = requirements(extras)
    with _command(wanted, dry_run, _has_uv() if with_uv is None else with_uv) as command:
        return subprocess.run(command, check=False).returncode


@contextmanager
def _command(wanted: Sequence[str], dry_run: bool, with_uv: bool) -> Iterator[list[str]]:
    last = ["--dry-run"] if dry_run else []
    if not with_uv:
        yield [*_pip(), "install", "--no-deps", "-r", str(PINS), *last]
        return
    with tempfile.NamedTemporaryFile("w", prefix="overrides-", suffix=".txt") as file:
        file.write("\n".join(OVERRIDES))
        file.flush()
        chosen = ["-c", str(PINS), "--override", file.name, *last, *wanted]
        yield [*_uv(), "pip", "install", "--python", target(), *chosen]


def target() -> str:
    """The interpreter whose environment is changed: this one."""
    return sys.executable


def _uv() -> list[str]:
    return [sys.executable, "-m", "uv"] if find_spec("uv") else [shutil.which("uv") or "uv"]


def _pip() -> list[str]:
    if find_spec("pip") is None:
        raise SettingsError("an environment with neither uv nor pip", "one of them", "run: python -m ensurepip")
    return [sys.executable, "-m", "pip"]


def _has_uv() -> bool:
    if find_spec("uv") or shutil.which("uv"):
        return True
    fetch = [*_pip(), "install", "--quiet", "--disable-pip-version-check", "-c", str(PINS), "uv"]
    return subprocess.run(fetch, check=False, capture_output=True).returncode == 0


if __name__ == "__main__":
    sys.exit(install([word for word in sys.argv[1:] if word != "--dry-run"], dry_run="--dry-run" in sys.argv))
