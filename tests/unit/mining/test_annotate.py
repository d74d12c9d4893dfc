from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from streetvision_core.errors import DataError
from streetvision_core.images.decode import encode_jpeg
from streetvision_core.mining.annotate import (
    ANNOTATORS,
    DetectorAnnotator,
    annotate,
    get_annotator,
    load_annotations,
    merge_boxes,
    save_annotations,
)
from streetvision_core.mining.querylog import QueryLog
from streetvision_core.types import Box, Evidence, Frame, Verdict

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
CONE = Box(10, 10, 20, 30, "cone", 0.9)


class OneCone:
    """A detector that sees the same cone everywhere: a real frame goes in, a real record comes out."""

    name = "one-cone"
    version = "1"

    def __init__(self) -> None:
        self.seen: list[tuple[int, ...]] = []

    def detect(self, frames: list[Frame]) -> list[tuple[Box, ...]]:
        self.seen += [frame.pixels.shape for frame in frames]
        return [(CONE,) for _ in frames]


@pytest.fixture
def log(tmp_path: Path) -> QueryLog:
    log = QueryLog(tmp_path)
    pixels = np.zeros((40, 60, 3), np.uint8)
    boxes = {"dense-lite2": (CONE,), "yolo12n": (Box(11, 10, 20, 30, "cone", 0.6), Box(10, 10, 20, 30, "drum", 0.5))}
    stages = (Evidence("classifier", {"logit": 0.1}), Evidence("detectors", {}, boxes))
    for truth, evidence in ((1, stages), (None, stages[:1])):
        verdict = Verdict(0.7, evidence[-1].stage, True, evidence, "v1", "certified", 0.1)
        kind = {"era": "native", "group": "g", "origin": "stream", "received_at": NOON}
        log.append(encode_jpeg(pixels), verdict, truth=truth, **kind)  # type: ignore[arg-type]
    return log


def test_scene_truth__labels_only_what_has_a_truth_and_says_what_it_is(log: QueryLog) -> None:
    (record,) = annotate(
        get_annotator("scene-truth"), log.rows(), log.image, why={"query-1": "uncertain"}, when=NOON
    )  # fmt: skip
    assert (record.id, record.label, record.annotator, record.why) == ("query-1", 1, "scene-truth", "uncertain")
    assert record.annotated_at == "2026-03-01T12:00:00+00:00"
    assert "stands in for the human reviewer" in record.note


def test_detectors__take_the_logged_boxes_and_never_label(log: QueryLog) -> None:
    records = annotate(get_annotator("detectors"), log.rows(), log.image)
    assert [record.id for record in records] == ["query-1"]
    assert records[0].label is None
    assert [(box.label, box.score) for box in records[0].boxes] == [("cone", 0.9), ("drum", 0.5)]
    assert records[0].note == "pre-annotation by dense-lite2, yolo12n; no label"


def test_detectors__look_where_stage_2_did_not_run(log: QueryLog) -> None:
    detector = OneCone()
    records = annotate(DetectorAnnotator([detector]), log.rows(), log.image)
    assert [record.boxes for record in records][1] == (CONE,)
    assert detector.seen == [(40, 60, 3)], "only the frame without boxes is looked at"


def test_get_annotator__unknown() -> None:
    assert set(ANNOTATORS) == {"scene-truth", "champion", "detectors"}
    with pytest.raises(DataError, match="scene-truth, champion, detectors"):
        get_annotator("oracle")


def test_merge_boxes__keeps_the_surest_of_one_object() -> None:
    far = Box(40, 10, 50, 30, "cone", 0.3)
    assert merge_boxes({"a": (far, Box(11, 10, 20, 30, "cone", 0.6)), "b": (CONE,)}) == (CONE, far)
    assert merge_boxes({}) == ()


def test_annotations__round_trip_and_broken_file(log: QueryLog, tmp_path: Path) -> None:
    records = annotate(get_annotator("detectors"), log.rows(), log.image, when=NOON)
    save_annotations(tmp_path / "a.json", records)
    assert load_annotations(tmp_path / "a.json") == records
    (tmp_path / "a.json").write_text('[{"id": "x"}]')
    with pytest.raises(DataError, match="annotate the day again"):
        load_annotations(tmp_path / "a.json")
