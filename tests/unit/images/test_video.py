import io
import struct
import tracemalloc
from fractions import Fraction

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streetvision_core.errors import (
    FileMissingError,
    VideoBrokenError,
    VideoError,
    VideoFormatError,
    VideoTooLargeError,
)
from streetvision_core.images.video import Sampling, open_video, read_clip, stream
from streetvision_core.images.video_writing import encode_video
from streetvision_core.settings import VideoSettings

FPS = 10
SIZE = (48, 64)


def street(level, seed):
    """Noise over a grey level, so that neighbouring frames are alike and levels are not."""
    rng = np.random.default_rng(seed)
    return np.clip(rng.normal(level, 6, (*SIZE, 3)), 0, 255).astype(np.uint8)


def film(levels, fps=FPS, **options):
    """One second of each grey level."""
    frames = [street(level, 100 * i + k) for i, level in enumerate(levels) for k in range(int(fps))]
    return encode_video(frames, fps, **options)


CALM = film([120] * 4)


@pytest.fixture(scope="module")
def music(tmp_path_factory):
    """An mp4 that holds sound only."""
    path = tmp_path_factory.mktemp("music") / "song.mp4"
    with av.open(str(path), "w") as output:
        track = output.add_stream("aac", rate=16_000, layout="mono")
        for start in range(0, 16_000, 1024):
            sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            sound.sample_rate, sound.pts = 16_000, start
            output.mux(track.encode(sound))
        output.mux(track.encode())
    return path


@pytest.mark.parametrize(
    ("container", "codec"),
    [("mp4", "libx264"), ("matroska", "libx264"), ("avi", "mpeg4"), ("mpegts", "libx264"), ("webm", "libvpx-vp9")],
)
def test_open_video__reads_the_usual_containers(container, codec):
    video = open_video(film([90, 90], container=container, codec=codec))
    assert video.info.seconds == pytest.approx(2.0, abs=0.15)
    assert (video.info.height, video.info.width) == SIZE
    times = [moment.seconds for moment in stream(video, Sampling(0.5))]
    assert times == pytest.approx([0.0, 0.5, 1.0, 1.5], abs=0.06)


@pytest.mark.parametrize(
    ("data", "raises"),
    [
        (b"", VideoBrokenError),
        (b"no video at all" * 100, VideoBrokenError),
        (CALM[: len(CALM) // 2], VideoBrokenError),
        (b"#EXTM3U\n#EXTINF:1,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n", VideoError),
        (b"ffconcat version 1.0\nfile /etc/hostname\n", VideoFormatError),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 64, VideoError),
    ],
    ids=["empty", "text", "cut", "playlist", "concat", "picture"],
)
def test_open_video__refuses_by_name(data, raises):
    with pytest.raises(raises) as caught:
        open_video(data, "clip.mp4")
    assert "clip.mp4" in caught.value.got and caught.value.action


def test_open_video__needs_a_file_and_a_picture(tmp_path, music):
    with pytest.raises(FileMissingError, match="no file"):
        open_video(tmp_path / "gone.mp4")
    with pytest.raises(VideoFormatError, match=r"sound alone .*aac"):
        open_video(music)


@pytest.mark.parametrize(
    ("data", "got", "do"),
    [
        (b"\xff\xd8\xff\xe0" + b"\0" * 99, "a picture .JPEG.", "/v1/predict"),
        (b"\0\0\0\x18ftypheic" + b"\0" * 99, "a picture .HEIF.", "/v1/predict"),
        (b"ID3\4" + b"\0" * 99, "sound alone .MP3", "pictures in it"),
        (b"<!doctype html><html>", "HTML page", "give a video file"),
    ],
)
def test_open_video__names_what_is_no_video(data, got, do):
    with pytest.raises(VideoFormatError, match=got) as caught:
        open_video(data, "clip.mp4")
    assert do in caught.value.action


def mux(container, tracks, codec="libx264", reordered="0"):
    """Tracks of (time in seconds, grey level, height and width) as one file."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as output:
        streams = []
        for track in tracks:
            made = output.add_stream(
                codec, rate=25, options={"crf": "10", "bf": reordered} if codec == "libx264" else {}
            )
            made.height, made.width = track[0][2]
            tick = TICK if codec == "libx264" else Fraction(1, 25)
            made.pix_fmt, made.time_base, made.codec_context.time_base = "yuv420p", tick, tick
            streams.append(made)
        for made, track in zip(streams, tracks, strict=True):
            for at, level, (height, width) in track:
                frame = av.VideoFrame.from_ndarray(np.full((height, width, 3), level, np.uint8), format="rgb24")
                frame.pts, frame.time_base = round(at / tick), tick
                output.mux(made.encode(frame))
            output.mux(made.encode())
    return buffer.getvalue()


TICK = Fraction(1, 1000)


def steady(level, seconds=2.0, fps=10, size=SIZE, start=0.0):
    return [(start + i / fps, level, size) for i in range(round(seconds * fps))]


@pytest.mark.parametrize("container", ["mpegts", "mpeg"])
@pytest.mark.parametrize("start", [0.0, 100.0, 4000.0], ids=["again", "ahead", "far-ahead"])
def test_open_video__joined_parts_go_on_from_the_part_before(container, start):
    codec = "libx264" if container == "mpegts" else "mpeg2video"
    one = mux(container, [steady(40, fps=25, start=50.0)], codec)
    two = mux(container, [steady(200, fps=25, start=start)], codec)
    video = open_video(one + two + one, "drive")
    assert video.info.joins == 2
    assert video.info.seconds == pytest.approx(6.0, abs=0.5)
    assert any("the clock starts again 2 times" in note for note in video.info.notes)
    moments = list(stream(video, Sampling(0.5)))
    assert [m.seconds for m in moments] == pytest.approx([0.5 * i for i in range(12)], abs=0.3)
    levels = [m.frame.pixels.mean() for m in moments]
    assert max(levels[:4]) < 80 and min(levels[4:8]) > 160 and max(levels[8:]) < 80
    late = [m.frame.pixels.mean() for m in stream(video, Sampling(0.5, start_seconds=2.4, end_seconds=3.6))]
    assert late and min(late) > 160, "a stretch is found though its time stands in the file twice"


def test_open_video__whole_transport_streams_have_no_joins():
    video = open_video(mux("mpegts", [steady(40, start=50.0)]), "drive")
    assert (video.info.joins, video.info.notes) == (0, ())


def test_open_video__a_long_pause_is_a_pause_where_no_broadcast_clock_runs():
    video = open_video(mux("matroska", [[*steady(40), *steady(200, start=60.0)]]), "timelapse")
    assert video.info.joins == 0 and video.info.seconds == pytest.approx(62.0, abs=0.2)


@pytest.mark.parametrize("container", ["mp4", "matroska"])
def test_open_video__the_largest_track_is_taken_and_it_is_noted(container):
    tracks = [steady(40, size=(32, 32)), steady(200, size=SIZE), steady(90, size=(16, 32))]
    video = open_video(mux(container, tracks), "two cameras")
    assert (video.info.height, video.info.width, video.info.tracks) == (*SIZE, 3)
    assert video.info.notes == ("3 video tracks: the largest, 64x48, was looked at",)
    assert all(m.frame.pixels.mean() > 160 for m in stream(video, Sampling(0.5)))


@pytest.mark.parametrize("frames", ["0", "3"])
@pytest.mark.parametrize("container", ["mp4", "mov", "matroska", "mpegts"])
def test_open_video__a_variable_frame_rate_has_its_true_length(container, frames):
    times = [0.0, 0.04, 0.08, 1.2, 1.24, 3.0, 3.5, 5.0, 6.6]
    data = mux(container, [[(at, 40 + 20 * i, SIZE) for i, at in enumerate(times)]], reordered=frames)
    video = open_video(data, "phone")
    assert 6.6 <= video.info.seconds <= 6.75
    seen = [m.seconds for m in stream(video, Sampling(0.01))]
    assert seen == pytest.approx(times, abs=0.03)


@pytest.mark.parametrize(
    ("container", "codec"),
    [
        ("3gp", "mpeg4"),
        ("asf", "wmv2"),
        ("flv", "flv"),
        ("mpeg", "mpeg2video"),
        ("mpeg2video", "mpeg2video"),
        ("avi", "msmpeg4"),
    ],
)
def test_open_video__reads_what_older_cameras_write(container, codec):
    pixels = [np.full((288, 352, 3), 20 * (i // 5), np.uint8) for i in range(50)]
    video = open_video(encode_video(pixels, 25, container=container, codec=codec), "old")
    assert video.info.seconds == pytest.approx(2.0, abs=0.25)
    assert len(list(stream(video, Sampling(0.5)))) == 4


@pytest.mark.parametrize(
    "limit", [{"max_bytes": 500}, {"max_seconds": 3.0}, {"max_pixels": 1000}, {"max_frames": 30}], ids=str
)
def test_open_video__keeps_its_limits(limit):
    (name,) = limit
    with pytest.raises(VideoTooLargeError, match=f"at most .*SV_VIDEO__{name.upper()}"):
        open_video(CALM, limits=VideoSettings(**limit))


def test_stream__keeps_the_pixel_limit_when_the_header_lies():
    data = bytearray(CALM)
    at = data.index(b"avc1", data.index(b"stsd")) + 28
    assert struct.unpack(">HH", data[at : at + 4]) == (SIZE[1], SIZE[0])
    data[at : at + 4] = struct.pack(">HH", 16, 16)
    with pytest.raises(VideoError):
        list(stream(open_video(bytes(data), limits=VideoSettings(max_pixels=1000)), Sampling(1)))


def test_stream__finds_the_cuts_and_keeps_the_grid():
    video = open_video(film([30, 30, 30, 220, 220, 90, 90]))
    cuts = [m.seconds for m in stream(video, Sampling(9.0, scene_score=0.3)) if m.why == "scene"]
    assert cuts == pytest.approx([3.0, 5.0], abs=0.11)
    times = [m.seconds for m in stream(video, Sampling(1.2, scene_score=0.3))]
    assert max(np.diff(times)) <= 1.25 and 3.0 in np.round(times, 1)
    assert [m.why for m in stream(video, Sampling(2.0))] == ["grid"] * 4


def test_stream__a_strobe_stays_bounded():
    flicker = encode_video([street(level, i) for i, level in enumerate([10, 240] * 25)], 25)
    assert len(list(stream(open_video(flicker), Sampling(1.0, scene_score=0.3)))) <= 2 / 0.3 + 2


@pytest.mark.parametrize(
    ("start", "end", "expected"), [(1.5, 3.0, [1.5, 2.5]), (2.0, None, [2.0, 3.0]), (9.0, None, [])]
)
def test_stream__stretch(start, end, expected):
    moments = stream(open_video(CALM), Sampling(1.0, start_seconds=start, end_seconds=end))
    assert [m.seconds for m in moments] == pytest.approx(expected, abs=0.01)


def test_stream__the_picture_is_the_one_of_its_time():
    video = open_video(film([20, 120, 220], quality=8))
    for moment in stream(video, Sampling(0.5)):
        assert moment.frame.pixels.mean() == pytest.approx([20, 120, 220][int(moment.seconds)], abs=6)


def test_stream__turns_what_was_filmed_on_its_side():
    frames = [np.zeros((*SIZE, 3), np.uint8) for _ in range(3)]
    for frame in frames:
        frame[:16, :16] = 255
    data = bytearray(encode_video(frames, quality=5))
    at = data.index(b"tkhd") + 4 + 40
    one = 1 << 16
    data[at : at + 36] = struct.pack(">9i", 0, one, 0, -one, 0, 0, 0, 0, 1 << 30)
    (clip,) = [read_clip(open_video(bytes(data)), Sampling(9.0))]
    pixels = clip.frames[0].pixels
    assert pixels.shape == (SIZE[1], SIZE[0], 3)
    assert pixels[4, -4].mean() > 200 > pixels[4, 4].mean(), "a quarter turn clockwise brings the corner to the right"


def test_stream__a_power_cut_leaves_what_was_recorded():
    whole = film([60] * 6, container="matroska")
    video = open_video(whole[: len(whole) * 2 // 3])
    times = [m.seconds for m in stream(video, Sampling(1.0))]
    assert 2 < len(times) < 6
    assert video.info.truncated and not open_video(whole).info.truncated


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(CALM) - 1), st.integers(0, 255)), min_size=1, max_size=12))
def test_stream__damage_ends_in_frames_or_a_named_error(damage):
    data = bytearray(CALM)
    for at, value in damage:
        data[at] = value
    try:
        for moment in stream(open_video(bytes(data)), Sampling(1.0, scene_score=0.3)):
            assert moment.seconds >= 0 and moment.frame.pixels.dtype == np.uint8
    except VideoError as error:
        assert error.action


def test_stream__holds_one_frame_at_a_time():
    frames = (np.full((360, 640, 3), i % 200, np.uint8) for i in range(150))
    video = open_video(encode_video(frames, 5))
    tracemalloc.start()
    count = sum(1 for _ in stream(video, Sampling(0.2)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 150
    assert peak < 12 * 360 * 640 * 3, "150 frames would need 150 times their bytes"
