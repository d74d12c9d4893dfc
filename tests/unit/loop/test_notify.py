import http.server
import json
import threading
from datetime import UTC, datetime, timedelta

import pytest

from streetvision_core.loop.notify import notify, notify_age
from streetvision_core.registry.age import age_notice
from streetvision_core.registry.versions import Registry


@pytest.fixture
def receiver():
    """A real HTTP server that keeps what it is sent."""
    got = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"json://127.0.0.1:{server.server_port}/hook", got
    server.shutdown()


def test_notify__sends(receiver):
    url, got = receiver
    assert notify((url,), "v0008 takes over", "Read reports/2026-11-23/index.html", "success") is True
    assert got[0]["title"] == "v0008 takes over"
    assert got[0]["type"] == "success"


def test_notify__nothing_to_do():
    assert notify((), "a", "b") is True


@pytest.mark.parametrize("url", ["json://user:hunter2@127.0.0.1:9/x", "nonsense", "unknown://hunter2", ""])
def test_notify__failure_is_logged_without_secrets_and_does_not_raise(url, capsys):
    assert notify((url,), "a", "b") is False
    out = "".join(capsys.readouterr())
    assert "notify_failed" in out
    assert "hunter2" not in out


def test_notify__one_failure_does_not_stop_the_others(receiver):
    url, got = receiver
    assert notify(("unknown://x", url), "a", "b") is False
    assert len(got) == 1


def test_notify_age__a_hundred_nights_send_five_messages(receiver, tmp_path):
    url, got = receiver
    made = datetime(2026, 1, 1, tzinfo=UTC)
    registry = Registry(tmp_path, clock=lambda: made)
    registry.install_first(registry.create({"head.json": b"{}"}, {}), by="loop")
    for night in range(100):
        notice = age_notice(registry, made + timedelta(days=night))
        if notice is not None:
            notify_age((url,), registry, notice)
    days = [int(message["message"].split(" is ")[1].split()[0]) for message in got]
    assert days == [70, 75, 80, 85, 90]


def test_notify_age__what_no_receiver_took_is_sent_the_next_night(receiver, tmp_path):
    url, got = receiver
    made = datetime(2026, 1, 1, tzinfo=UTC)
    registry = Registry(tmp_path, clock=lambda: made)
    registry.install_first(registry.create({"head.json": b"{}"}, {}), by="loop")
    notice = age_notice(registry, made + timedelta(days=71))
    assert not notify_age(("json://127.0.0.1:9/x",), registry, notice)
    assert notify_age((url,), registry, notice)
    assert not notify_age((url,), registry, notice)
    assert len(got) == 1
