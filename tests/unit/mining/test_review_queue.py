"""What was shown to reviewers and what they decided: one store, whichever day, undone when asked."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from streetvision_core.errors import DataError, LabelStoreError
from streetvision_core.labels import Decision
from streetvision_core.mining.annotate import Annotation, save_annotations
from streetvision_core.mining.review_queue import ReviewQueue

DAY, NEXT = "2026-03-01", "2026-03-02"


def show(queue: ReviewQueue, day: str, numbers: range, annotator: str = "champion") -> None:
    shown = [
        Annotation(f"query-{i}", f"{i:064x}", i % 2, (), annotator, f"{day}T12:00:00+00:00", "uncertain")
        for i in numbers
    ]
    save_annotations(queue.folder / day / "annotations.json", shown)


@pytest.fixture
def queue(tmp_path: Path) -> ReviewQueue:
    made = ReviewQueue.of_data(tmp_path)
    show(made, DAY, range(3))
    return made


@pytest.mark.parametrize(
    ("choice", "label"),
    [("accept", 1), ("flip", 0), ("set-aside", None)],
)
def test_decide__the_label_that_was_shown_becomes_a_label_that_stands_by_itself(
    queue: ReviewQueue, choice: str, label: int | None
) -> None:
    frame = queue.decide(DAY, "query-1", choice, reviewer="anna", reason="cones behind the van")  # type: ignore[arg-type]
    assert (frame.choice, frame.label.label if frame.label else "none") == (choice, label)
    held = queue.store.labels()[f"{1:064x}"]
    assert (held.label, held.source, held.who, held.why) == (label, "person", "anna", "cones behind the van")


def test_frames__a_proposal_is_no_label_until_somebody_decides(queue: ReviewQueue) -> None:
    assert all(frame.label is None and frame.choice is None for frame in queue.frames(DAY))
    queue.decide(DAY, "query-1", "tag", tag="fog", reviewer="anna")
    frame = queue.frames(DAY)[1]
    assert (frame.label, frame.choice, frame.tags) == (None, None, ("fog",))


def test_progress__counts_frames_that_people_decided_about(queue: ReviewQueue) -> None:
    queue.store.record_decisions(
        [Decision(f"{2:064x}", 0, "renderer", "scene-truth", datetime.now(UTC), query="query-2")]
    )
    queue.decide(DAY, "query-0", "accept", reviewer="anna")
    queue.decide(DAY, "query-1", "flip", reviewer="ben")
    progress = queue.progress(DAY)
    assert (progress.shown, progress.open, progress.reviewed) == (3, 1, 2)
    assert (progress.accepted, progress.flipped, progress.set_aside) == (1, 1, 0)
    assert progress.by == {"anna": 1, "ben": 1}


def test_undo__what_was_there_before_holds_again(queue: ReviewQueue) -> None:
    queue.decide(DAY, "query-1", "accept", reviewer="ben")
    queue.decide(DAY, "query-1", "flip", reviewer="anna")
    assert queue.undo(DAY, "query-1", "anna").choice == "accept"
    assert queue.undo(DAY, "query-1", "ben").choice is None
    with pytest.raises(LabelStoreError, match="no decision of anna"):
        queue.undo(DAY, "query-1", "anna")


def test_decide__queries_go_on_being_logged_and_mined_meanwhile(queue: ReviewQueue) -> None:
    """A review of frames that a later mining of the day no longer shows used to break the day for good."""
    queue.decide(DAY, "query-1", "flip", reviewer="anna")
    show(queue, DAY, range(2, 6))
    assert [frame.choice for frame in queue.frames(DAY)] == [None] * 4
    assert queue.store.labels()[f"{1:064x}"].label == 0
    queue.decide(DAY, "query-4", "accept", reviewer="anna")
    show(queue, DAY, range(6))
    assert [frame.choice for frame in queue.frames(DAY)] == [None, "flip", None, None, "accept", None]


def test_decide__a_frame_of_another_day_is_found(queue: ReviewQueue) -> None:
    show(queue, NEXT, range(3, 5))
    assert queue.decide(DAY, "query-4", "accept", reviewer="anna").day == NEXT


def test_backlog__how_many_wait_and_since_when(queue: ReviewQueue) -> None:
    show(queue, NEXT, range(3, 5))
    today = date.fromisoformat(NEXT) + timedelta(days=6)
    assert (queue.backlog().open, queue.backlog().oldest_day, queue.backlog().age_days(today)) == (5, DAY, 7)
    for i in range(3):
        queue.decide(DAY, f"query-{i}", "accept", reviewer="anna")
    assert (queue.backlog().open, queue.backlog().oldest_day, queue.backlog().age_days(today)) == (2, NEXT, 6)
    for i in (3, 4):
        queue.decide(NEXT, f"query-{i}", "set-aside", reviewer="anna")
    assert (queue.backlog().open, queue.backlog().age_days(today)) == (0, 0)


@pytest.mark.parametrize(
    ("name", "choice", "tag", "reviewer", "message"),
    [
        ("query-9", "accept", "", "anna", "a decision about 'query-9'"),
        ("query-1", "maybe", "", "anna", "choice 'maybe'"),
        ("query-1", "tag", "", "anna", "a tag with tag"),
        ("query-1", "accept", "", " ", "somebody as reviewer"),
    ],
)
def test_decide__refusals(queue: ReviewQueue, name: str, choice: str, tag: str, reviewer: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        queue.decide(DAY, name, choice, tag=tag, reviewer=reviewer)  # type: ignore[arg-type]
    assert queue.store.decisions() == []


@pytest.mark.parametrize("day", ["2026-03-02", "../2026-03-01", ""])
def test_shown__only_of_mined_days(queue: ReviewQueue, day: str) -> None:
    with pytest.raises(DataError, match=r"no frames of 2026-03-02|the day"):
        queue.shown(day)
