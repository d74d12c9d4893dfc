"""Videos over HTTP, through gateway and model server, and without the extra."""

import sys

import numpy as np
import pytest

from streetvision_core.serving.fleet import Fleet
from streetvision_core.serving.gateway_app import create_gateway_app
from streetvision_core.serving.metrics import Metrics
from streetvision_core.serving.model_app import create_model_app
from streetvision_core.serving.model_metrics import FleetMetrics
from streetvision_core.serving.run import in_background
from streetvision_core.serving.servers import ServerSpec
from streetvision_core.serving.stub import StubEngine
from tests.integration.test_serving import Server, picture, settings_with

MP4 = {"content-type": "video/mp4"}


@pytest.fixture(scope="module")
def server():
    settings = settings_with(look_seconds=0.05, max_body_bytes=2_000_000)
    with in_background(create_model_app(StubEngine("v1"), settings)) as url:
        metrics = Metrics()
        fleet = Fleet([ServerSpec("one", url)], settings.serving, FleetMetrics(metrics.registry))
        app = create_gateway_app(fleet, settings, metrics, sides=(fleet,))
        with in_background(app) as gateway_url:
            yield Server(app, gateway_url)


@pytest.fixture(scope="module")
def drive():
    """Six seconds, of which the last three are bright, which the stub calls road work."""
    pytest.importorskip("av")
    from streetvision_core.images.video_writing import encode_video

    return encode_video([np.full((64, 96, 3), 30 if i < 12 else 230, np.uint8) for i in range(24)], fps=4)


def post(server, data, headers=MP4):
    return server.client.post("/v1/predict/video", content=data, headers=headers)


def test_video__stretches_of_road_work(server, drive):
    response = post(server, drive)
    assert response.status_code == 200, response.text
    told = response.json()
    assert (told["mode"], told["roadwork"], told["model_version"]) == ("direct", True, "v1")
    (segment,) = told["segments"]
    assert 2 < segment["start_seconds"] < 4
    assert segment["end_seconds"] == pytest.approx(6, abs=0.6)
    assert len(told["timeline"]) >= 10
    assert server.value("sv_queue_depth") == 0


@pytest.mark.parametrize(
    ("body", "headers", "status", "error"),
    [
        (b"", MP4, 400, "VideoBrokenError"),
        (b"x" * 2_000_001, MP4, 413, "ImageTooLargeError"),
        (b"x", {"content-type": "text/plain"}, 415, "VideoFormatError"),
        (b"x", {"content-type": "image/jpeg"}, 415, "VideoFormatError"),
        (picture(1), MP4, 415, "VideoFormatError"),
        (picture(1, "PNG"), {"content-type": "application/octet-stream"}, 415, "VideoFormatError"),
    ],
)
def test_video__bad_input_has_a_name_and_a_status(server, body, headers, status, error):
    pytest.importorskip("av")
    response = post(server, body, headers)
    assert (response.status_code, response.json()["error"]) == (status, error)


@pytest.mark.parametrize("kind", ["image/jpeg", "video/mp4", "application/octet-stream"])
def test_video__a_picture_is_sent_to_the_right_endpoint(server, kind):
    said = post(server, picture(1), {"content-type": kind}).json()
    assert said["do"] == "send pictures to POST /v1/predict"
    assert server.client.post("/v1/predict", content=picture(1)).status_code == 200


@pytest.mark.parametrize("kind", ["video/mp4", "image/jpeg", "application/octet-stream"])
def test_predict__a_video_is_sent_to_the_right_endpoint(server, drive, kind):
    response = server.client.post("/v1/predict", content=drive, headers={"content-type": kind})
    assert (response.status_code, response.json()["error"]) == (415, "ImageFormatError")
    assert response.json()["do"] == "send videos to POST /v1/predict/video"


def test_predict__a_video_among_pictures_does_not_touch_the_others(server, drive):
    files = [("file", ("a.jpg", picture(1))), ("file", ("drive.mp4", drive))]
    first, second = server.client.post("/v1/predict", files=files).json()["results"]
    assert "p_roadwork" in first
    assert (second["status"], second["do"]) == (415, "send videos to POST /v1/predict/video")


def test_video__without_the_extra_names_the_command(server, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    response = post(server, b"a file")
    assert response.status_code == 501
    assert "streetvision install video" in response.json()["do"]
