from datetime import UTC, datetime

import numpy as np
import pytest

from streetvision_core.errors import NoImagesError, ServingError
from streetvision_core.images.decode import encode_jpeg
from streetvision_core.mining.querylog import QueryLog
from streetvision_core.serving.replay import ReplayImage, _Reply, _report, replay, run_replay
from streetvision_core.serving.replay_sources import images_of
from streetvision_core.settings import load_settings
from streetvision_core.types import Verdict


def jpeg(value):
    return encode_jpeg(np.full((8, 8, 3), value, np.uint8))


@pytest.fixture
def settings(tmp_path):
    base = load_settings("embedded")
    return base.model_copy(update={"paths": base.paths.model_copy(update={"home": tmp_path})})


def test_images_of__folder(settings, tmp_path):
    for value in (30, 10, 20):
        (tmp_path / f"{value}.jpg").write_bytes(jpeg(value))
    assert [i.name for i in images_of(settings, tmp_path)] == ["10.jpg", "20.jpg", "30.jpg"]
    assert len(list(images_of(settings, str(tmp_path), limit=2))) == 2


def test_images_of__a_spreadsheets_list(settings, tmp_path):
    for name in ("b.jpg", "a.jpg"):
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "list.csv").write_bytes("Bild;Path\r\n1;b.jpg\r\n2;a.jpg\r\n".encode("utf-8-sig"))
    assert [(i.name, i.data) for i in images_of(settings, tmp_path / "list.csv")] == [
        ("b.jpg", b"b.jpg"),
        ("a.jpg", b"a.jpg"),
    ]


def test_images_of__empty_folder_is_named(settings, tmp_path):
    with pytest.raises(NoImagesError):
        images_of(settings, tmp_path / "nothing")


def test_images_of__logged_day_with_its_truth(settings):
    moment = datetime(2026, 11, 23, 12, tzinfo=UTC)
    verdict = Verdict(0.9, "classifier", True, (), "v1", "certified", 0.1)
    with QueryLog(settings.paths.resolve("data") / "queries") as log:
        for truth in (1, None):
            data = jpeg(truth or 7)
            log.append(data, verdict, era="native", group="g", origin="http", received_at=moment, truth=truth)
    images = list(images_of(settings, "2026-11-23"))
    assert [(i.data, i.truth) for i in images] == [(jpeg(1), 1), (jpeg(7), None)]
    with pytest.raises(ServingError, match="no query logged on 2026-11-24; allowed: a logged day: 2026-11-23"):
        list(images_of(settings, "2026-11-24"))


def test_images_of__rendered_stream_knows_its_truth(settings):
    images = list(images_of(settings, "rendered", limit=2))
    assert [i.truth in (0, 1) for i in images] == [True, True]
    assert all(i.data[:2] == b"\xff\xd8" for i in images)


def reply(p, truth, seconds=0.1):
    return _Reply(seconds, truth, {"p_roadwork": p, "model_version": "v1", "exit_stage": "ocr"}, None)


def test_report__scores_only_what_is_known():
    replies = [reply(0.9, 1), reply(0.2, 0), reply(0.7, 0), reply(0.1, None), _Reply(9, 1, None, "DeadlineError")]
    report = _report(replies, 2.0)
    assert (report.sent, report.answered, report.scored, report.errors) == (5, 4, 3, {"DeadlineError": 1})
    assert report.scores["accuracy"] == pytest.approx(2 / 3, abs=1e-4)
    assert report.requests_per_second == 2.0
    assert report.exits == {"ocr": 4}


def test_report__latency_is_the_quantiles_of_the_answered():
    replies = [reply(0.9, None, seconds=i / 100) for i in range(1, 101)]
    latency = _report([*replies, _Reply(30, None, None, "ReadTimeout")], 1.0).latency_seconds
    expected = {f"p{q}": np.quantile(np.arange(1, 101) / 100, q / 100) for q in (50, 95, 99)}
    assert latency == pytest.approx({**expected, "max": 1.0}, abs=1e-5)


def test_report__nothing_answered():
    report = _report([_Reply(1, None, None, "ConnectError")], 1.0)
    assert (report.latency_seconds, report.scores, report.answered) == ({}, {}, 0)


def test_replay__no_server_is_named():
    with pytest.raises(ServingError, match="start one with: streetvision serve"):
        replay("http://127.0.0.1:9", [ReplayImage(b"x", "x")])


@pytest.mark.parametrize(("rate", "concurrency"), [(0, 1), (-1, 1), (1, 0), (float("nan"), 1)])
def test_replay__values_out_of_range(rate, concurrency, settings, tmp_path):
    (tmp_path / "a.jpg").write_bytes(jpeg(1))
    with pytest.raises(ServingError):
        run_replay(settings, "http://127.0.0.1:9", tmp_path, rate, concurrency)
