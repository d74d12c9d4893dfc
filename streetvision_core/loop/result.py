"""The one object a notebook hands on: recorded in its last cell, read back from the executed file.

It works in JupyterLab alone (a small table is shown) and under the runner (the data is read from the cell's output).
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from streetvision_core.errors import ResultError
from streetvision_core.loop.plain import MAX_BYTES, plain

MIME = "application/vnd.streetvision.result+json"


def record(result: Mapping[str, Any]) -> None:
    """Records a notebook's result; called once, in its last cell.

    Args:
        result: names to plain values; NumPy numbers, dates, paths and objects with `to_dict()` are converted.

    Raises:
        ResultError: NaN, infinity, a key that is no string, an object of another kind, or more than 8 MiB.
    """
    if not isinstance(result, Mapping):
        raise ResultError(f"a result of type {type(result).__name__}", "a dict", "call record({...})")
    data = plain(result)
    size = len(json.dumps(data))
    if size > MAX_BYTES:
        raise ResultError(
            got=f"a result of {size / 2**20:.1f} MiB",
            allowed=f"at most {MAX_BYTES // 2**20} MiB",
            action="write the large part to a file and record its path",
            size=size,
        )
    _show(data)


def read_result(notebook: Path) -> dict[str, Any]:
    """Reads the recorded result of an executed notebook.

    Raises:
        ResultError: the file is unreadable, or it holds no result or several.
    """
    try:
        content = json.loads(notebook.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ResultError(
            got=f"{notebook.name}: {error}",
            allowed="an executed notebook",
            action="run the step again",
            path=str(notebook),
        ) from error
    return result_of(content, notebook.name)


def result_of(notebook: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The recorded result among a notebook's outputs; `name` is for the message. Raises ResultError."""
    found = list(_recorded(notebook))
    if len(found) != 1:
        raise ResultError(
            got=f"{len(found)} recorded results in {name}",
            allowed="exactly one",
            action="call streetvision_core.loop.record(result) once, in the notebook's last cell",
            notebook=name,
            count=len(found),
        )
    return found[0]


def _recorded(notebook: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for cell in notebook.get("cells", []):
        for output in cell.get("outputs", []):
            data = output.get("data", {}).get(MIME)
            if isinstance(data, dict):
                yield data


def _show(data: dict[str, Any]) -> None:
    from IPython import get_ipython
    from IPython.display import publish_display_data

    if get_ipython() is not None:
        bundle = {MIME: data, "text/html": as_html(data), "text/plain": json.dumps(data, indent=1)}
        publish_display_data(bundle)  # type: ignore[no-untyped-call]


def as_html(data: Mapping[str, Any]) -> str:
    """A small escaped table of a result, one row per key."""
    rows = "".join(
        f"<tr><th style='text-align:left'>{html.escape(key)}</th>"
        f"<td style='text-align:left'>{html.escape(_short(value))}</td></tr>"
        for key, value in data.items()
    )
    return f"<table><caption style='text-align:left'>Recorded result</caption>{rows}</table>"


def _short(value: Any, limit: int = 160) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
