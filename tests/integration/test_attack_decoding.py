"""Pictures and videos that are small and keep a decoder busy: a running server ends them, and goes on."""

import io
import os
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from streetvision_core.images.decode import decode_image
from streetvision_core.serving._plain import is_plain
from streetvision_core.serving.app import create_app
from streetvision_core.serving.run import in_background
from streetvision_core.serving.stub import StubEngine
from streetvision_core.settings import load_settings
from tests.integration.test_serving import Server, picture

MIB = 2**20


def progressive(side=6000, **options):
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (side, side, 3), np.uint8)
    Image.fromarray(noise).save(buffer, "JPEG", progressive=True, quality=40, **options)
    return buffer.getvalue()


def fill_bytes():
    jpeg = picture(1)
    return jpeg[:2] + b"\xff" * (19 * MIB) + jpeg[2:]


def comments():
    jpeg = picture(1)
    return jpeg[:2] + b"\xff\xfe\x00\x02" * (4 * MIB) + jpeg[2:]


def many_scans():
    """A progressive file whose last scan is repeated: each goes over the whole picture."""
    side = 4000
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), (90, 120, 60)).save(buffer, "JPEG", progressive=True, quality=30)
    data = buffer.getvalue()
    last = data.rindex(b"\xff\xda")
    scan = data[last:-2]
    return data[:-2] + scan * 80 + data[-2:]


def png_of_chunks():
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "PNG")
    png = buffer.getvalue()
    return png[:33] + b"\0\0\0\0tEXtXXXX" * MIB + png[33:]


COSTLY = {"fill-bytes": fill_bytes, "comments": comments, "scans": many_scans, "chunks": png_of_chunks}


@pytest.fixture(scope="module")
def server():
    base = load_settings("embedded")
    decode = base.decode.model_copy(update={"max_seconds": 1.0})
    video = base.video.model_copy(update={"decode_seconds": 0.3})
    serving = base.serving.model_copy(update={"cache_entries": 0, "deadline_seconds": 60.0})
    settings = base.model_copy(update={"decode": decode, "video": video, "serving": serving})
    app = create_app(StubEngine(), settings)
    with in_background(app) as url:
        yield Server(app, url)


@pytest.mark.parametrize("kind", COSTLY)
def test_costly_pictures__are_not_decoded_beside_the_plain_ones(kind):
    assert not is_plain(COSTLY[kind]())


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("JPEG", {"quality": 100, "subsampling": 0, "exif": b"Exif\0\0" + bytes(60_000)}),
        ("PNG", {}),
        ("WEBP", {}),
        ("WEBP", {"lossless": True}),
    ],
)
def test_plain_pictures__need_no_process(kind, options):
    pixels = np.random.default_rng(1).integers(0, 255, (1200, 1600, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    assert is_plain(buffer.getvalue())


@pytest.mark.parametrize("kind", COSTLY)
def test_costly_picture__is_ended_in_time_and_others_are_answered_meanwhile(server, kind):
    data = COSTLY[kind]()
    with ThreadPoolExecutor(1) as pool:
        started = time.monotonic()
        costly = pool.submit(server.client.post, "/v1/predict", content=data)
        answered = 0
        while not costly.done():
            assert server.post(picture(answered)).status_code == 200
            answered += 1
        seconds = time.monotonic() - started
    # decoded in time, or refused: what matters is that it is over
    assert costly.result().status_code in (200, 400, 413)
    assert seconds < 15  # a busy machine starts the process in some seconds; 6 to 18 s before, of decoding alone
    assert answered > 0
    if costly.result().status_code == 413:
        again = time.monotonic()
        second = server.client.post("/v1/predict", content=data)
        assert (second.status_code, second.json()["got"]) == (413, costly.result().json()["got"])
        assert time.monotonic() - again < 5  # it is remembered


def test_slow_picture__decoded_apart_is_the_same_picture():
    """A large progressive photograph takes the way through the process, and gets the answer it would get without."""
    data = progressive(2600)
    assert not is_plain(data)
    app = create_app(StubEngine(), load_settings("embedded"))
    with in_background(app) as url:
        answer = Server(app, url).post(data).json()
    (verdict,) = StubEngine().predict([decode_image(data, "body")])
    assert answer["p_roadwork"] == pytest.approx(verdict.p_roadwork)
    assert (answer["width"], answer["height"]) == (2600, 2600)


def children():
    """Decoding processes that this one has started."""
    found = subprocess.run(["pgrep", "-P", str(os.getpid()), "-f", "_decode_child"], capture_output=True, text=True)
    return set(found.stdout.split())


def test_costly_video__is_ended_and_costs_one_process(server):
    pytest.importorskip("av")
    from streetvision_core.images.video_writing import encode_video

    frame = np.zeros((2160, 3840, 3), np.uint8)
    data = encode_video([frame] * 40, fps=25)
    assert len(data) < MIB
    started = time.monotonic()
    response = server.client.post("/v1/predict/video", content=data, headers={"content-type": "video/mp4"})
    assert (response.status_code, response.json()["error"]) == (413, "VideoTooLargeError")
    assert time.monotonic() - started < 25
    assert server.post(picture(1)).status_code == 200


def test_video__whose_caller_hangs_up_frees_its_process(server):
    pytest.importorskip("av")
    from streetvision_core.images.video_writing import encode_video
    from tests.integration.test_attack_connections import connect

    data = encode_video([np.zeros((2160, 3840, 3), np.uint8)] * 40, fps=25)
    with connect(server) as line:
        head = f"POST /v1/predict/video HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(data)}\r\n\r\n"
        line.sendall(head.encode() + data)
        time.sleep(0.3)
    ends = time.monotonic() + 20
    while time.monotonic() < ends:
        answer = server.client.post("/v1/predict/video", content=b"\0" * 100, headers={"content-type": "video/mp4"})
        if answer.status_code != 429:
            break
        time.sleep(0.2)
    assert answer.status_code in (400, 415)


def test_processes__end_with_the_server():
    before = children()
    app = create_app(StubEngine(), load_settings("embedded"))
    with in_background(app) as url:
        assert Server(app, url).post(progressive(2600)).status_code == 200
        assert len(children() - before) == 1
    ends = time.monotonic() + 10
    while children() - before:
        assert time.monotonic() < ends
        time.sleep(0.05)
