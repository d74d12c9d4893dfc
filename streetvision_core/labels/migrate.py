"""Labels as workspaces of format 1 kept them, in five files a day, as decisions for the label store."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from streetvision_core.errors import LabelStoreError
from streetvision_core.labels.values import Decision, Source

_SCENE_TRUTH: Final = "scene-truth"
_LABEL_MODEL: Final = "label-model"
_SOURCES: Final[Mapping[str, Source]] = {"": "person", "human": "person", "machine": "machine"}


def decisions_of_old_days(days: Path) -> list[Decision]:
    """All decisions below `data/days` of a format 1 workspace, day by day, in the order in which they were made.

    The renderer's truth and certified labels stood in `annotations.json` and `weak.json`, people's in `decisions.csv`.

    Raises:
        LabelStoreError: a file cannot be read; it names the file, and the line of a sheet.
    """
    found: list[Decision] = []
    for folder in sorted(days.glob("????-??-??")):
        found += _of_annotations(folder)
        found += _of_people(folder / "decisions.csv")
    return found


def _of_annotations(folder: Path) -> Iterator[Decision]:
    certified = {e["id"] for e in _read(folder / "weak.json", {"frames": []})["frames"] if e.get("accepted")}
    for entry in _read(folder / "annotations.json", []):
        source: Source | None = {_SCENE_TRUTH: "renderer", _LABEL_MODEL: "machine"}.get(entry["annotator"])  # type: ignore[assignment]
        if source is None or (source == "machine" and entry["id"] not in certified) or entry["label"] is None:
            continue
        when = _moment(entry["annotated_at"])
        yield Decision(
            entry["sha256"], entry["label"], source, entry["annotator"], when, entry["note"], query=entry["id"]
        )


def _of_people(path: Path) -> Iterator[Decision]:
    if not path.exists():
        return
    with path.open(newline="", encoding="utf-8-sig") as file:
        for number, line in enumerate(csv.DictReader(file, restval=""), 2):
            if not line.get("decision"):
                continue
            try:
                yield _of_line(line)
            except (KeyError, ValueError, LabelStoreError) as error:
                raise _unreadable(path, f"line {number}: {error}") from error


def _of_line(line: Mapping[str, str]) -> Decision:
    shown = int(line["label"])
    labels = {"accept": shown, "flip": 1 - shown, "set-aside": None, "tag": None}
    return Decision(
        image=line["sha256"],
        label=labels[line["decision"]],
        source=_SOURCES[line.get("decided_by", "")],
        who=line["reviewer"],
        when=_moment(line["decided_at"]),
        why=line.get("reason", ""),
        tags=(line["tag"],) if line["tag"] else (),
        query=line["id"],
        only_tags=line["decision"] == "tag",
    )


def _moment(text: str) -> datetime:
    when = datetime.fromisoformat(text)
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def _read(path: Path, absent: Any) -> Any:
    try:
        return json.loads(path.read_text()) if path.exists() else absent
    except (OSError, ValueError, RecursionError) as error:
        raise _unreadable(path, str(error)) from error


def _unreadable(path: Path, got: str) -> LabelStoreError:
    return LabelStoreError(
        got=f"{path.parent.name}/{path.name}: {got}",
        allowed="the file as the night or the reviewer wrote it",
        action=f"restore {path} from a backup, or move it away to go on without it; then run: streetvision migrate",
        path=str(path),
    )
