import itertools
from collections import Counter

import numpy as np
import pytest

from streetvision_core.errors import DataError
from streetvision_core.images.decode import decode_image
from streetvision_core.mining import seeds, stream
from streetvision_core.mining.stream import DRIVE_FRAMES, StreamQuery, day_stream, heldout_stream

N = 44


@pytest.fixture(scope="module")
def day() -> list[StreamQuery]:
    return list(day_stream(0, N))


def test_day_stream__has_both_labels_kinds_and_all_eras(day: list[StreamQuery]) -> None:
    assert len(day) == N
    assert 0.25 < np.mean([q.truth for q in day]) < 0.75
    assert {q.origin for q in day} == {"rendered-drive", "rendered-scene"}
    assert {q.era for q in day} == {"native", "crop-224", "letterbox-224"}


def test_day_stream__a_drive_is_one_group_of_native_frames(day: list[StreamQuery]) -> None:
    drives = Counter(q.group for q in day if q.origin == "rendered-drive")
    scenes = Counter(q.group for q in day if q.origin == "rendered-scene")
    assert set(drives.values()) <= set(range(1, DRIVE_FRAMES + 1))
    assert set(scenes.values()) == {1}
    assert {q.era for q in day if q.origin == "rendered-drive"} == {"native"}


def test_day_stream__images_have_the_size_of_their_era(day: list[StreamQuery]) -> None:
    for query in day:
        pixels = decode_image(query.jpeg_bytes, query.group).pixels
        assert pixels.shape == ((270, 480, 3) if query.era == "native" else (224, 224, 3))


def test_day_stream__is_the_same_again_and_prefix_stable(day: list[StreamQuery]) -> None:
    assert list(itertools.islice(day_stream(0, N), 4)) == day[:4]
    assert next(day_stream(1, 1)).jpeg_bytes != day[0].jpeg_bytes
    assert next(day_stream(0, 1, seed=1)).jpeg_bytes != day[0].jpeg_bytes


def test_streams__groups_come_from_their_own_seed_ranges(day: list[StreamQuery]) -> None:
    def owners(queries: list[StreamQuery]) -> set[str | None]:
        return {seeds.owner(int(query.group.rsplit("-", 1)[1])) for query in queries}

    assert owners(day) == {"stream"}
    assert owners(list(heldout_stream(2))) == {"heldout"}


def test_heldout_stream__is_fixed_and_independent() -> None:
    first, longer = list(heldout_stream(3)), list(heldout_stream(5))
    assert longer[:3] == first
    assert len({query.group for query in longer}) == 5
    assert {query.origin for query in longer} == {"rendered-scene"}


@pytest.mark.parametrize("every", [2, 4])
def test_heldout_stream__some_of_it_is_the_same_as_in_the_whole(every: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, rendered, render = list(heldout_stream(24)), [], stream.scenes.render
    monkeypatch.setattr(stream.scenes, "render", lambda *a, **k: rendered.append(a) or render(*a, **k))
    assert list(heldout_stream(24, every=every)) == whole[::every]
    assert len(rendered) == 24 // every
    assert len({query.era for query in whole}) == 3


def test_day_stream__refuses_more_scenes_than_seeds() -> None:
    with pytest.raises(DataError, match="0 to 4096"):
        next(day_stream(0, 5000))
