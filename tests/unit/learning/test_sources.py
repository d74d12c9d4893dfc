"""What each source gives: who labelled a row, from which world it is, and on which day the stream brought it."""

import datetime as dt
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from streetvision_core.data.observe import Observer
from streetvision_core.data.starter import StarterPack, load_starter
from streetvision_core.errors import DataError
from streetvision_core.images.decode import decode_image, encode_jpeg
from streetvision_core.learning import sources
from streetvision_core.learning.assemble import base_rows
from streetvision_core.learning.measured import split_of_group
from streetvision_core.mining.querylog import QueryLog
from streetvision_core.mining.select import MinedItem, MinedSet
from streetvision_core.models.evidence import EVIDENCE_NAMES
from streetvision_core.settings import load_settings
from streetvision_core.types import Verdict
from tests.unit.cascade.toy_street import OCR_WIDTH, toy_frame, toy_models, toy_settings, toy_table

NOON = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)


@dataclass(frozen=True)
class Known:
    label: int | None
    source: str


@pytest.fixture
def observer(tmp_path):
    return Observer(toy_models(), tmp_path / "features.sqlite", OCR_WIDTH)


@pytest.fixture
def log(tmp_path):
    with QueryLog(tmp_path / "queries") as log:
        for i in range(8):
            verdict = Verdict(0.9 if i % 2 else 0.1, "classifier", True, (), "v1", "certified", 0.01)
            image = encode_jpeg(toy_frame(i % 6)[0].pixels, 95)  # the last two were sent before
            origin = "rendered-scene" if i == 5 else "http"
            log.append(
                image,
                verdict,
                era="native",
                group=f"g{i % 3}",
                origin=origin,
                received_at=NOON + dt.timedelta(days=i // 4),
            )
        yield log


def test_check_photographs__a_profile_that_cannot_use_the_pack_says_so_before_any_model_is_loaded():
    pack = load_starter()
    sources.check_photographs(load_settings("embedded"), pack)
    for profile in ("light", "platinum"):
        with pytest.raises(DataError, match="SV_LEARNING__PHOTOS") as caught:
            base_rows(load_settings(profile), observer=None, pack=pack)
        assert "efficientnet-lite2" in caught.value.got


def test_starter_rows__photos_are_real_and_composed_ones_are_not():
    pack = load_starter()
    rows = sources.starter_rows(pack, Observer(toy_models(detectors=False), Path("unused"), 0))
    assert len(rows.real) == len(pack.table) and len(rows.rendered) == len(pack.composed)
    assert np.isnan(rows.table.evidence).all(), "evidence of other detectors means something else"
    assert {row.licence for row in rows.rows} == set(pack.licences)


def test_starter_rows__evidence_of_the_same_detectors_stays(observer):
    table, _ = toy_table(10)
    pack = StarterPack(table, table.select([]), ("CC0",) * 10, {"detectors": observer.detectors})
    np.testing.assert_array_equal(sources.starter_rows(pack, observer).table.evidence, table.evidence)


def test_photo_rows__a_folder_gives_labels_splits_and_paths(tmp_path, observer):
    for i in range(6):
        frame, label = toy_frame(i)
        path = tmp_path / "mine" / ("roadwork" if label else "none") / f"drive-{i % 2}" / f"{i}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_jpeg(frame.pixels, 95))
    rows = sources.photo_rows(tmp_path / "mine", observer)
    native = rows.select(np.array([era == "native" for era in rows.table.eras]))
    assert len(native) == 6 and all(row.path for row in rows.rows)
    assert {row.labelled_by for row in rows.rows} == {"person"}
    by_group = {}
    for group, split in zip(rows.table.groups, rows.table.splits, strict=True):
        assert by_group.setdefault(group, split) is split


def test_logged_rows__each_image_once_on_the_day_it_first_came_with_todays_label(log, observer):
    queries = log.rows()
    labels = {query.sha256: Known(int(query.id % 2), "person" if query.id < 3 else "machine") for query in queries[:5]}
    labels[queries[2].sha256] = Known(None, "person")
    days = sources.logged_rows(queries, labels, log, observer, hard_weight=2.0)
    assert {day: one.table.ids for day, one in days.items()} == {
        "2026-11-20": ("2026-11-20/query-1", "2026-11-20/query-2", "2026-11-20/query-4"),
        "2026-11-21": ("2026-11-21/query-5",),
    }
    first = days["2026-11-20"]
    assert [row.labelled_by for row in first.rows] == ["person", "person", "machine"]
    assert first.table.splits == tuple(split_of_group(group) for group in first.table.groups)
    wrong = [(query.verdict.p_roadwork > 0.5) != (query.id % 2) for query in (queries[0], queries[1], queries[3])]
    assert first.table.weights.tolist() == [2.0 if bad else 1.0 for bad in wrong]


def test_logged_rows__what_is_stored_is_not_decoded_again(log, observer, monkeypatch):
    queries = log.rows()
    labels = {query.sha256: Known(1, "caller") for query in queries}
    frames = [decode_image(log.image(query.sha256), query.name) for query in queries]
    features, evidence = observer.observe(frames)
    monkeypatch.setattr(sources, "decode_image", None)
    days = sources.logged_rows(queries, labels, log, observer, hard_weight=2.0)
    found = np.concatenate([one.table.features for one in days.values()])
    np.testing.assert_array_equal(found, features[:6])
    seen = np.concatenate([one.table.evidence for one in days.values()])
    np.testing.assert_array_equal(seen, evidence[:6])


def test_logged_rows__an_image_that_is_gone_leaves_the_others_alone(log, observer):
    queries = log.rows()
    labels = {query.sha256: Known(1, "person") for query in queries}
    log.images.path(queries[1].sha256).unlink()
    log.images.path(queries[4].sha256).write_bytes(b"damaged")
    log.images.path(queries[5].sha256).unlink()
    days = sources.logged_rows(queries, labels, log, observer, hard_weight=2.0)
    assert {day: one.table.ids for day, one in days.items()} == {
        "2026-11-20": ("2026-11-20/query-1", "2026-11-20/query-3", "2026-11-20/query-4"),
    }


def test_drawn_by_probe__real_queries_only(log):
    def item(number, *reasons):
        return MinedItem(f"query-{number}", number, "", reasons, 0.5, {})

    mined = MinedSet((item(1, "random probe"), item(2, "uncertain"), item(6, "random probe")), 8, 0, 3, 0)
    queries = log.rows()
    assert sources.drawn_by_probe([mined], queries) == {queries[0].sha256: queries[0].group}


def test_base_rows__light_learns_from_a_folder_where_one_is_named(tmp_path, observer):
    settings = toy_settings()
    pack = replace(load_starter())
    folder = tmp_path / "mine"
    for i in range(4):
        frame, label = toy_frame(i)
        path = folder / ("roadwork" if label else "none") / f"{i}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_jpeg(frame.pixels, 95))
    named = settings.model_copy(
        update={
            "learning": settings.learning.model_copy(update={"photos": (folder,)}),
            "loop": settings.loop.model_copy(update={"heldout_frames": 4}),
            "paths": settings.paths.model_copy(update={"home": tmp_path}),
        }
    )
    with pytest.raises(DataError, match="no photograph"):
        base_rows(settings, observer, pack)
    rows = base_rows(named, observer, pack)
    assert {row.source for row in rows.rows} == {"photos: mine", "held-out scenes"}
    assert len(rows.rendered) == 4


def test_base_rows__fewer_detectors_use_what_was_shipped(monkeypatch, tmp_path):
    """The README's way without the AGPL detector: nothing is rendered, and nothing that detector said is left."""
    monkeypatch.setenv("SV_MODELS__DETECTORS", '["dense-lite2"]')
    monkeypatch.setenv("SV_PATHS__HOME", str(tmp_path))
    settings = load_settings("embedded")
    rows = base_rows(settings, Observer.of(settings))
    seen = {name.split(".")[0] for name, column in zip(EVIDENCE_NAMES, rows.table.evidence.T, strict=True)
            if np.isfinite(column).any()}  # fmt: skip
    assert seen == {"dense-lite2"} and len(rows.rendered) > settings.loop.heldout_frames
    assert not (tmp_path / "data" / "heldout").exists()
