from pathlib import Path

import pytest

from streetvision_core.errors import DataError
from streetvision_core.mining.annotate import Annotation, save_annotations
from streetvision_core.mining.desk import ReviewDesk

DAY = "2026-03-01"


@pytest.fixture
def desk(tmp_path: Path) -> ReviewDesk:
    who = ("scene-truth", "scene-truth", "champion")
    said = [Annotation(f"query-{i}", f"{i:064x}", i % 2, (), who[i], f"{DAY}T12:00:00+00:00", "why") for i in range(3)]
    save_annotations(tmp_path / DAY / "annotations.json", said)
    return ReviewDesk(tmp_path)


def test_decide__is_recorded_with_who_when_why(desk: ReviewDesk) -> None:
    assert desk.decide(DAY, "query-1", "flip", reviewer="anna", reason="cones behind the van").label == 0
    assert desk.decide(DAY, "query-2", "accept", reviewer="accept-above-0.98", by="machine").label == 0
    first, second = desk.decisions(DAY)
    assert (first.reviewer, first.decided_by, first.reason) == ("anna", "human", "cones behind the van")
    assert (second.decided_by, second.decided_at > first.decided_at) == ("machine", True)
    progress = desk.progress(DAY)
    assert (progress.shown, progress.open, progress.accepted, progress.flipped) == (3, 1, 1, 1)
    assert progress.by == {"anna (human)": 1, "accept-above-0.98 (machine)": 1}


@pytest.mark.parametrize(
    ("name", "choice", "tag", "reviewer", "message"),
    [
        ("query-9", "accept", "", "anna", "decisions about query-9"),
        ("query-1", "maybe", "", "anna", "choice 'maybe'"),
        ("query-1", "tag", "", "anna", "a tag with tag"),
        ("query-1", "accept", "", " ", "somebody as reviewer"),
    ],
)
def test_decide__refusals(desk: ReviewDesk, name: str, choice: str, tag: str, reviewer: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        desk.decide(DAY, name, choice, tag=tag, reviewer=reviewer)  # type: ignore[arg-type]
    assert desk.decisions(DAY) == []


@pytest.mark.parametrize("day", ["2026-03-02", "../2026-03-01", ""])
def test_annotations__only_of_mined_days(desk: ReviewDesk, day: str) -> None:
    with pytest.raises(DataError, match=r"no annotations of 2026-03-02|the day"):
        desk.annotations(day)


def test_sheet__round_trip_between_two_desks(desk: ReviewDesk, tmp_path: Path) -> None:
    desk.decide(DAY, "query-1", "flip", reviewer="anna")
    desk.decide(DAY, "query-1", "tag", tag="fog", reviewer="anna")
    desk.decide(DAY, "query-1", "accept", reviewer="ben")
    assert desk.write_sheet(DAY, tmp_path / "sheet.csv") == 2
    other = ReviewDesk(tmp_path / "other")
    save_annotations(other.folder / DAY / "annotations.json", desk.annotations(DAY))
    assert other.read_sheet(DAY, tmp_path / "sheet.csv") == 3
    assert other.decisions(DAY) == desk.decisions(DAY)
    assert other.read_sheet(DAY, tmp_path / "sheet.csv") == 0


def test_read_sheet__filled_in_by_hand(desk: ReviewDesk, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.csv"
    desk.write_sheet(DAY, sheet)
    sheet.write_text(sheet.read_text().replace(",why,,", ",why,set-aside,"))
    with pytest.raises(DataError, match="without a reviewer"):
        desk.read_sheet(DAY, sheet)
    assert [desk.read_sheet(DAY, sheet, "anna") for _ in range(2)] == [3, 0]
    assert desk.progress(DAY).set_aside == 3
