"""The real SDK against a small server that speaks TwelveLabs' API v1.3 as the SDK's own types describe it."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from streetvision_core.errors import QuotaError, VideoSearchError
from streetvision_core.images.video import open_video
from streetvision_core.images.video_writing import encode_video
from streetvision_core.models.twelvelabs import TwelveLabsSearch
from streetvision_core.types import Frame

pytest.importorskip("twelvelabs")

CLIPS = [
    {"start": 20.0, "end": 29.0, "rank": 1, "video_id": "in-1"},
    {"start": 4.0, "end": 8.5, "rank": 2, "video_id": "in-1"},
    {"start": 50.0, "end": 999.0, "rank": 3, "video_id": "in-1"},
]


class Service(ThreadingHTTPServer):
    """Remembers what it was asked; `refuse` maps a path's last part to a status."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked, self.bodies, self.refuse, self.states = [], {}, {}, ["pending", "indexing", "ready"]
        threading.Thread(target=self.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server_port}/v1.3"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if "/indexed-assets/" in self.path:
            states = self.server.states
            self.answer({"_id": "in-1", "status": states.pop(0) if len(states) > 1 else states[0]})
        else:
            self.answer({"_id": "as-1", "status": "ready", "method": "direct"})

    def do_POST(self):
        name = self.path.split("?")[0].rsplit("/", 1)[-1]
        self.server.bodies[name] = self.rfile.read(int(self.headers["Content-Length"]))
        answers = {
            "indexes": {"_id": "ix-1"},
            "assets": {"_id": "as-1", "status": "processing", "method": "direct"},
            "indexed-assets": {"_id": "in-1", "asset_id": "as-1"},
            "search": {
                "search_pool": {"total_count": 1, "total_duration": 60.0, "index_id": "ix-1"},
                "data": CLIPS,
                "page_info": {"limit_per_page": 10, "total_results": 3, "page_expires_at": "2030-01-01T00:00:00Z"},
            },
        }
        self.answer(answers[name], self.server.refuse.get(name, 200))

    def answer(self, value, status=200):
        self.server.asked.append(f"{self.command} {self.path.removeprefix('/v1.3')}")
        data = json.dumps(value if status == 200 else {"code": "refused", "message": "no"}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


@pytest.fixture
def service():
    server = Service()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    path = tmp_path_factory.mktemp("video") / "drive.mp4"
    path.write_bytes(encode_video([np.full((48, 64, 3), i, np.uint8) for i in range(60)], 1))
    return open_video(path)


@pytest.fixture
def search(service, tmp_path):
    def make(minutes=600.0, **options):
        return TwelveLabsSearch(
            tmp_path / "twelvelabs.json", minutes, api_key="k", base_url=service.url, poll_seconds=0.01, **options
        )

    return make


def test_find__sends_indexes_waits_and_searches(search, service, video):
    found = search().find(video, "orange cones on the road")
    assert found == ((4.0, 8.5), (20.0, 29.0), (50.0, pytest.approx(60.0)))
    assert service.asked == [
        "POST /indexes",
        "POST /assets",
        "GET /assets/as-1",
        "POST /indexes/ix-1/indexed-assets",
        *["GET /indexes/ix-1/indexed-assets/in-1"] * 3,
        "POST /search",
    ]
    assert json.loads(service.bodies["indexes"])["models"] == [
        {"model_name": "marengo3.0", "model_options": ["visual"]}
    ]
    assert b"ftyp" in service.bodies["assets"] and b"direct" in service.bodies["assets"]
    asked = service.bodies["search"]
    assert b"orange cones on the road" in asked and b'{"id": ["in-1"]}' in asked and b"visual" in asked


def test_find__an_example_image_is_sent_as_one(search, service, video):
    search().find(video, examples=[Frame.from_pixels(np.zeros((32, 32, 3), np.uint8), "cone")])
    assert b"query_media_file" in service.bodies["search"] and b"\xff\xd8" in service.bodies["search"]


def test_find__the_same_video_is_sent_and_counted_once(search, service, video):
    search().find(video, "cones")
    assert search().minutes_left == pytest.approx(599.0)
    service.asked.clear()
    search().find(video, "workers", count=1)
    assert service.asked == ["POST /search"]
    assert search().minutes_left == pytest.approx(599.0)


def test_find__nothing_is_sent_beyond_the_quota(search, service, video):
    with pytest.raises(QuotaError, match="minutes are left"):
        search(minutes=0.5).find(video, "cones")
    assert service.asked == []


@pytest.mark.parametrize(("step", "status"), [("assets", 401), ("indexed-assets", 429), ("search", 500)])
def test_find__a_refusal_is_named_and_the_work_goes_on_from_there(search, service, video, step, status):
    service.refuse[step] = status
    with pytest.raises(VideoSearchError, match=str(status)):
        search().find(video, "cones")
    assert search().minutes_left == pytest.approx(599.0), "what may have been used is counted"
    service.refuse.clear()
    service.asked.clear()
    assert len(search().find(video, "cones")) == 3
    assert "POST /indexes" not in service.asked
    assert ("POST /assets" in service.asked) == (step == "assets")


def test_find__a_failed_or_slow_indexing_is_named(search, service, video):
    service.states = ["failed"]
    with pytest.raises(VideoSearchError, match="indexing failed"):
        search().find(video, "cones")
    service.states = ["indexing"]
    with pytest.raises(VideoSearchError, match="not done after"):
        search(wait_seconds=0.05).find(video, "cones")


def test_find__an_unreachable_service_is_named(search, service, video):
    service.shutdown()
    service.server_close()
    with pytest.raises(VideoSearchError, match="TwelveLabs within reach"):
        search().find(video, "cones")


@pytest.mark.parametrize(("text", "examples"), [("", 0), ("cones", 2)])
def test_find__refuses_an_empty_or_a_double_query(search, service, video, text, examples):
    frames = [Frame.from_pixels(np.zeros((8, 8, 3), np.uint8), "x")] * examples
    with pytest.raises(VideoSearchError):
        search().find(video, text, frames)
    assert service.asked == []


def test_twelvelabs_search__needs_a_key(tmp_path, monkeypatch):
    monkeypatch.delenv("TWELVE_LABS_API_KEY", raising=False)
    with pytest.raises(VideoSearchError, match="TWELVE_LABS_API_KEY"):
        TwelveLabsSearch(tmp_path / "l.json", 600)


def test_find__a_lost_ledger_is_not_taken_for_an_empty_one(search, video, tmp_path):
    (tmp_path / "twelvelabs.json").write_text("{")
    with pytest.raises(VideoSearchError, match="restore it"):
        search().find(video, "cones")
