"""Labels of a workspace that the code of format 1 wrote: every word of every person arrives, with its time."""

import csv
import shutil
from pathlib import Path

import pytest

from streetvision_core.errors import LabelStoreError
from streetvision_core.labels import LabelStore
from streetvision_core.labels.migrate import decisions_of_old_days

OLD_DAYS = Path(__file__).parents[2] / "fixtures" / "workspace-1" / "data" / "days"


def sheet_lines() -> list[dict[str, str]]:
    lines: list[dict[str, str]] = []
    for path in sorted(OLD_DAYS.glob("*/decisions.csv")):
        with path.open() as file:
            lines += list(csv.DictReader(file))
    return lines


def test_decisions_of_old_days__every_line_of_every_reviewer(tmp_path: Path) -> None:
    people = [d for d in decisions_of_old_days(OLD_DAYS) if d.source == "person"]
    lines = sheet_lines()
    assert {d.who for d in people} == {"anna", "ben"}
    assert [(d.image, d.who, d.when.isoformat(), d.why) for d in people] == [
        (line["sha256"], line["reviewer"], line["decided_at"], line["reason"]) for line in lines
    ]
    meaning = {"accept": lambda y: y, "flip": lambda y: 1 - y, "set-aside": lambda y: None, "tag": lambda y: None}
    assert [d.label for d in people] == [meaning[line["decision"]](int(line["label"])) for line in lines]
    assert [d.tags for d in people if d.only_tags] == [(line["tag"],) for line in lines if line["decision"] == "tag"]
    store = LabelStore(tmp_path / "labels.sqlite")
    assert store.record_decisions(decisions_of_old_days(OLD_DAYS)).new > len(people)
    assert store.record_decisions(decisions_of_old_days(OLD_DAYS)).new == 0, "migrating twice changes nothing"
    held = store.labels()
    last = {line["sha256"]: line for line in lines if line["decision"] != "tag"}
    assert {image: held[image].who for image in last} == {image: line["reviewer"] for image, line in last.items()}
    assert any(label.source == "renderer" for label in held.values())


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("decisions.csv", "id,sha256,label,decision\nquery-1,00,1,flip\n", r"decisions.csv: line 2"),
        ("annotations.json", "[{", "annotations.json"),
        ("weak.json", "[" * 100_000, "weak.json"),
    ],
)
def test_decisions_of_old_days__a_damaged_file_is_named(tmp_path: Path, name: str, content: str, message: str) -> None:
    shutil.copytree(OLD_DAYS, tmp_path / "days")
    (tmp_path / "days" / "2026-11-02" / name).write_text(content)
    with pytest.raises(LabelStoreError, match=message):
        decisions_of_old_days(tmp_path / "days")
