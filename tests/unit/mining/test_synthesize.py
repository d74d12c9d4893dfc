import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streetvision_core.errors import DataError
from streetvision_core.images.decode import decode_image
from streetvision_core.images.provenance import read_provenance
from streetvision_core.mining import seeds
from streetvision_core.mining.querylog import QueryRow
from streetvision_core.mining.synthesize import (
    DEVICE_MODES,
    RENDERED_MODES,
    Order,
    SyntheticPlan,
    count_error_modes,
    plan,
    read_manifest,
    render_plan,
    write_frames,
)
from streetvision_core.types import Verdict


def make_row(p: float, truth: int | None, modes: tuple[str, ...]) -> QueryRow:
    verdict = Verdict(p, "classifier", True, (), "v1", "certified", 0.1)
    return QueryRow(1, "0" * 64, datetime(2026, 3, 1, tzinfo=UTC), "native", "g", "s", truth, modes, verdict)  # type: ignore[arg-type]


def test_count_error_modes__counts_wrong_answers_only() -> None:
    rows = [
        make_row(0.9, 0, ("fog", "night")),
        make_row(0.1, 1, ("fog",)),
        make_row(0.9, 1, ("rain",)),
        make_row(0.9, None, ("rain",)),
    ]
    assert count_error_modes(rows) == {"fog": 2, "night": 1}
    assert count_error_modes(rows, lambda row: ("small",)) == {"small": 2}


@given(
    st.dictionaries(st.sampled_from([*RENDERED_MODES, "unusual"]), st.integers(0, 50)),
    st.integers(0, 300),
)
def test_plan__adds_up_and_is_proportional(counts: dict, frames: int) -> None:
    made = plan(counts, frames)
    assert made.frames == frames - frames % 2
    targeted = {order.mode: order for order in made.orders if order.mode}
    mass = sum(n for mode, n in counts.items() if mode != "unusual")
    pairs = sum(order.pairs for order in targeted.values())
    for mode, order in targeted.items():
        assert abs(order.pairs - pairs * counts[mode] / mass) < 1
        assert order.errors == counts[mode]
    assert made.left_out == (("unusual",) if counts.get("unusual") else ())


def test_plan__without_errors_is_plain() -> None:
    assert plan({}, 10) == SyntheticPlan((Order(None, 5, 0),))
    assert plan({"fog": 2}, 0).orders == ()


def test_render_plan__twins_share_the_street_and_the_condition() -> None:
    orders = tuple(Order(mode, 1, 1) for mode in ("fog", "far", None))
    frames = list(render_plan(SyntheticPlan(orders), day_index=3))
    assert [frame.label for frame in frames] == [1, 0] * 3
    assert [frame.mode for frame in frames] == ["fog", "fog", "far", "far", None, None]
    for with_work, without in zip(frames[::2], frames[1::2], strict=True):
        assert (with_work.group, with_work.seed, with_work.era) == (without.group, without.seed, without.era)
        if with_work.mode:
            assert with_work.mode in with_work.modes
            assert (with_work.mode in without.modes) == (with_work.mode not in DEVICE_MODES)
    assert {seeds.owner(frame.seed) for frame in frames} == {"synthetic"}
    assert len({frame.id for frame in frames}) == 6
    again = list(render_plan(SyntheticPlan(orders), day_index=3))
    assert again == frames
    assert next(render_plan(SyntheticPlan(orders), day_index=4)).seed not in {frame.seed for frame in frames}


@pytest.mark.parametrize("mode", RENDERED_MODES)
def test_render_plan__every_mode_can_be_made(mode: str) -> None:
    first, _ = render_plan(SyntheticPlan((Order(mode, 1, 1),)), day_index=0)  # type: ignore[arg-type]
    assert mode in first.modes


def test_write_frames__manifest_is_the_provenance(tmp_path: Path) -> None:
    order = SyntheticPlan((Order(None, 1, 0),))
    frames = list(render_plan(order, day_index=0))
    records = write_frames(frames, order, tmp_path)
    assert read_manifest(tmp_path) == [{**r, "modes": list(r["modes"])} for r in records]
    for frame, record in zip(frames, records, strict=True):
        written = (tmp_path / record["path"]).read_bytes()
        assert read_provenance(written) == {"synthetic": True, **json.loads(json.dumps(frame.provenance()))}
        assert (decode_image(written, "a").pixels == decode_image(frame.jpeg_bytes, "b").pixels).all()
        assert record["seed"] == frame.seed
        assert record["origin"] == "rendered-synthetic"
    with pytest.raises(DataError, match="synthesize step again"):
        read_manifest(tmp_path / "images")


def test_synthetic_frame__provenance_has_no_pixels() -> None:
    frame = next(render_plan(SyntheticPlan((Order(None, 1, 0),)), day_index=0))
    assert "jpeg_bytes" not in frame.provenance()
    assert replace(frame, label=0).provenance()["label"] == 0
