"""The ignored review queue is mentioned, and only what nobody has labelled waits."""

import datetime as dt

import pytest

from streetvision_core.labels import Decision
from streetvision_core.loop.report.waiting import frames_that_wait
from streetvision_core.mining.annotate import Annotation, save_annotations
from streetvision_core.mining.review_queue import ANNOTATIONS_FILE, ReviewQueue

NOON = dt.datetime(2026, 11, 24, 12, tzinfo=dt.UTC)


@pytest.fixture
def queue(tmp_path):
    for day, numbers in (("2026-11-20", (1, 2)), ("2026-11-23", (3,))):
        shown = [Annotation(f"query-{n}", f"{n:064x}", 1, (), "champion", NOON.isoformat(), "", "") for n in numbers]
        save_annotations(tmp_path / "days" / day / ANNOTATIONS_FILE, shown)
    return ReviewQueue.of_data(tmp_path)


@pytest.mark.parametrize(
    ("labelled", "sentence"),
    [
        ((), "3 mined frames have no label and wait for a person, the oldest since 2026-11-20, 4 days ago: "),
        ((1, 2), "1 mined frame has no label and waits for a person, the oldest since 2026-11-23, 1 day ago: "),
        ((1, 2, 3), ""),
    ],
)
@pytest.mark.parametrize("source", ["person", "renderer"])
def test_frames_that_wait__counts_what_nobody_has_labelled(queue, labelled, sentence, source):
    queue.store.record_decisions([Decision(f"{n:064x}", 1, source, "anna", NOON) for n in labelled])
    assert frames_that_wait(queue, NOON.date()) == (sentence and f"{sentence}streetvision review")
