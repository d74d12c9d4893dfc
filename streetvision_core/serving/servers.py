"""Which model servers there are, and what share of the images each gets: from the command line or from a small file.

The file is YAML and may be changed while the gateway runs; it is what blue/green turns:

    blue: {url: "unix:/run/streetvision/blue.sock", weight: 9}
    green: {url: "http://127.0.0.1:8102", weight: 1}
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from streetvision_core.errors import ServingError
from streetvision_core.serving._line import Line
from streetvision_core.storage import atomic_write_text


@dataclass(frozen=True, slots=True)
class ServerSpec:
    """One model server.

    Attributes:
        name: for logs and metrics.
        url: `unix:/path/to/socket` or `http://host:port`.
        weight: its share is weight over the sum of weights; 0 gives it no new image.
    """

    name: str
    url: str
    weight: float = 1.0

    def __post_init__(self) -> None:
        if isinstance(self.weight, bool) or not isinstance(self.weight, int | float) or not _usable(self.weight):
            raise ServingError(
                got=f"weight {self.weight!r} for {self.name}",
                allowed="a number from 0; 0 drains the server",
                action="mend the weight",
            )
        Line(self.url)


def parse_specs(texts: Sequence[str]) -> tuple[ServerSpec, ...]:
    """Model servers of the command line, `URL` or `URL=WEIGHT` each.

    Example:
        >>> parse_specs(["unix:/run/blue.sock=9", "http://127.0.0.1:8102"])[0].weight
        9.0

    Raises:
        ServingError: not of this form, or the same one twice.
    """
    return _checked([_parse(text) for text in texts], "--model")


def read_specs(path: Path) -> tuple[ServerSpec, ...]:
    """Model servers of a file.

    Raises:
        ServingError: it cannot be read, or says something else.
    """
    try:
        value = yaml.safe_load(path.read_text())
    except (OSError, UnicodeError, yaml.YAMLError) as error:
        raise _bad_file(path, f"{type(error).__name__}: {error}") from error
    if not isinstance(value, dict) or not all(_is_entry(entry) for entry in value.values()):
        raise _bad_file(path, "another form")
    specs = [ServerSpec(str(name), entry["url"], entry.get("weight", 1.0)) for name, entry in value.items()]
    return _checked(specs, str(path))


def write_specs(path: Path, specs: Sequence[ServerSpec]) -> None:
    """Writes a file that `read_specs` reads, by replace; a running gateway takes it over within a second."""
    atomic_write_text(path, yaml.safe_dump({s.name: {"url": s.url, "weight": s.weight} for s in specs}))


def _usable(weight: float) -> bool:
    return math.isfinite(weight) and weight >= 0


def _is_entry(entry: Any) -> bool:
    return isinstance(entry, dict) and isinstance(entry.get("url"), str) and entry.keys() <= {"url", "weight"}


def _parse(text: str) -> ServerSpec:
    url, _, weight = text.rpartition("=") if "=" in text else (text, "", "1")
    try:
        return ServerSpec(url, url, float(weight))
    except ValueError:
        raise ServingError(
            got=f"--model {text!r}", allowed="URL or URL=WEIGHT", action="write e.g. http://127.0.0.1:8102=9"
        ) from None


def _checked(specs: list[ServerSpec], where: str) -> tuple[ServerSpec, ...]:
    if not specs or len({spec.url for spec in specs}) < len(specs):
        raise ServingError(
            got="no model server" if not specs else "the same model server twice",
            allowed="at least one, each once",
            action=f"mend {where}",
        )
    return tuple(specs)


def _bad_file(path: Path, got: str) -> ServingError:
    return ServingError(
        got=f"{got} in {path}",
        allowed="name: {url: ..., weight: ...} for each model server",
        action="mend the file; see docs/serving.md",
        path=str(path),
    )
