"""Who asks a running server, and under which name: foreign web pages, rebound names, proxies in front of it."""

import http.server
import json
import socket
import threading
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from streetvision_core.mining.querylog import QueryLog
from streetvision_core.serving.access import KeyRule
from streetvision_core.serving.gateway_app import create_gateway_app
from streetvision_core.serving.keys import KeyFile
from streetvision_core.serving.metrics import Metrics
from streetvision_core.serving.model_metrics import ModelMetrics
from streetvision_core.serving.model_side import ModelSide
from streetvision_core.serving.origin import read_origin
from streetvision_core.serving.run import in_background
from streetvision_core.serving.stub import StubEngine
from tests.integration import nginx
from tests.integration.chromium import Browser, find_chromium
from tests.integration.test_serving import Server, picture, settings_with

FOREIGN = "evil.example"
needs_nginx = pytest.mark.skipif(not nginx.FOUND, reason="no nginx here")


@contextmanager
def running(folder, everyone=None, **serving):
    """A server with a query log; `everyone` says who needs a key, None that nobody does."""
    settings, metrics = settings_with(**serving), Metrics()
    model = ModelSide(StubEngine(), settings, ModelMetrics(metrics.registry))
    keys = KeyFile(folder / "keys.json")
    key = keys.add("alice")
    rule = None if everyone is None else KeyRule(keys, everyone)
    log = QueryLog(folder / "queries")
    app = create_gateway_app(model.backend, settings, metrics, log, sides=(model,), keys=rule)
    with in_background(app) as url:
        server = Server(app, url)
        server.key, server.folder = key, folder / "queries"
        yield server


def raw(server, text, body=b""):
    """Status and JSON of a request that is written by hand."""
    with socket.create_connection(("127.0.0.1", int(server.url.rsplit(":", 1)[1])), timeout=10) as line:
        line.sendall(text.replace("\n", "\r\n").encode("latin-1") + b"\r\n\r\n" + body)
        answer = b""
        while b"\r\n\r\n" not in answer or not answer.partition(b"\r\n\r\n")[2]:
            chunk = line.recv(65536)
            if not chunk:
                break
            answer += chunk
    head, _, said = answer.partition(b"\r\n\r\n")
    return int(head.split(b" ", 2)[1]), said, head


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    with running(tmp_path_factory.mktemp("local"), everyone=False) as server:
        yield server


@pytest.mark.parametrize(
    ("hosts", "status"),
    [
        (["127.0.0.1"], 200),
        (["127.0.0.1:8080"], 200),
        (["localhost"], 200),
        (["LocalHost:1"], 200),
        (["[::1]:8080"], 200),
        ([socket.gethostname()], 200),
        ([], 400),
        (["127.0.0.1", "127.0.0.1"], 400),
        (["127.0.0.1", FOREIGN], 400),
        ([FOREIGN], 421),
        (["localhost.evil.example"], 421),
        (["127.0.0.1.evil.example"], 421),
        (["127.0.0.1@evil.example"], 421),
        ([""], 421),
        (["<script>"], 421),
    ],
)
@pytest.mark.parametrize("path", ["/metrics", "/v1/predict", "/"])
def test_host__exactly_one_and_one_of_ours(local, hosts, status, path):
    lines = "".join(f"\nHost: {host}" for host in hosts)
    image = picture(1)
    method = f"POST {path} HTTP/1.1\nContent-Length: {len(image)}" if path == "/v1/predict" else f"GET {path} HTTP/1.1"
    got, said, _ = raw(local, method + lines + "\nX-API-Key: " + local.key, image if "POST" in method else b"")
    assert got == status
    if status != 200:
        error = json.loads(said)
        assert error["error"] == {400: "RequestError", 421: "HostError"}[status]
        assert b"\x1b" not in said
        assert error["request_id"]


def test_host__control_characters_are_not_repeated(local):
    status, said, _ = raw(local, "GET /metrics HTTP/1.1\nHost: a\x80\x9b31m")
    assert status == 421
    assert b"\\\\x9b" in said
    assert b"\x9b" not in said


def test_host__names_in_the_settings_are_ours(tmp_path):
    with running(tmp_path, hosts=("Cones.example",)) as server:
        assert raw(server, "GET /metrics HTTP/1.1\nHost: cones.example:443")[0] == 200
        assert raw(server, "GET /metrics HTTP/1.1\nHost: evil.example")[0] == 421


@pytest.mark.parametrize("path", ["/v1/predict/", "/metrics/", "//evil.example/", "/health/ready/"])
def test_redirects__none_that_repeat_a_name(local, path):
    status, _, head = raw(local, f"GET {path} HTTP/1.1\nHost: 127.0.0.1\nX-API-Key: {local.key}")
    assert status == 404
    assert b"location" not in head.lower()


@pytest.mark.parametrize("number", ["0", "1", "-1", "9" * 5000, "%D9%A3", "1e3", "0x0"])
def test_number_in_a_path__is_no_fault_of_ours(local, number):
    assert local.client.get(f"/metrics/models/{number}").status_code == 404


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"sec-fetch-site": "same-origin"}, 200),
        ({"sec-fetch-site": "none"}, 200),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, 403),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://127.0.0.1:1"}, 403),
        ({"origin": "file://"}, 403),
    ],
)
def test_foreign_page__is_not_answered(local, headers, status):
    for path in ("/v1/predict", "/v1/predict/video"):
        response = local.client.post(path, content=picture(1), headers=headers)
        assert (response.status_code == 403) == (status == 403)
        if status == 403:
            assert response.json()["error"] == "CrossSiteError"
            assert response.json()["request_id"] == response.headers["x-request-id"]
    assert local.client.get("/metrics", headers=headers).status_code == status


def test_own_page__is_answered_and_may_be_linked_to(local):
    assert local.post(picture(1), origin=local.url).status_code == 200
    link = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert local.client.get("/", headers=link).status_code == 200


@contextmanager
def foreign_site(script):
    """A web page of a stranger, on another port and under another name."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(f"<!doctype html><title>evil</title><script>{script}</script>".encode())

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as site:
        threading.Thread(target=site.serve_forever, daemon=True).start()
        yield site.server_port
        site.shutdown()


@pytest.mark.skipif(find_chromium() is None, reason="no Chromium here")
@pytest.mark.parametrize("name", [FOREIGN, "127.0.0.1"])
def test_chromium__a_foreign_page_gets_no_picture_into_the_log(tmp_path, name):
    """What happened before: every picture a foreign page posted was answered and written into the log that teaches."""
    image = list(picture(7))
    flags = [f"--host-resolver-rules=MAP {FOREIGN} 127.0.0.1"]
    with running(tmp_path, everyone=False) as server:
        script = f"""
          const image = new Uint8Array({image});
          const send = what =>
            fetch("{server.url}/v1/predict", {{method: "POST", mode: "no-cors", body: image, ...what}});
          const types = ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"];
          const all = types.map(type => send({{headers: {{"content-type": type}}}}));
          const rebound = fetch("http://{FOREIGN}:{server.url.rsplit(":", 1)[1]}/metrics", {{mode: "no-cors"}});
          Promise.allSettled([...all, send({{body: new Blob([image])}}), rebound])
            .then(() => {{ document.title = "sent"; }});
        """
        with foreign_site(script) as port, Browser(tmp_path / "profile", flags=flags) as browser:
            browser.open(f"http://{name}:{port}/")
            browser.wait_for("document.title === 'sent'")
        assert server.value("sv_rejects_total", reason="CrossSiteError") >= 4
        assert server.value("sv_requests_total", protocol="http", status="200") == 0
        assert server.post(picture(1)).status_code == 200
    with QueryLog(server.folder) as log:
        assert log.counts().queries == 1


@needs_nginx
@pytest.mark.parametrize("path", ["/v1/predict", "/metrics", "/metrics/models/0"])
def test_plain_nginx__whoever_comes_through_it_needs_a_key(local, tmp_path, path):
    """`proxy_pass` and nothing else: before, every stranger counted as this machine."""
    ask = lambda url, **headers: (  # noqa: E731
        httpx.post(url + path, content=picture(1), headers=headers, trust_env=False)
        if "predict" in path
        else httpx.get(url + path, headers=headers, trust_env=False)
    )
    for lines in (
        "",
        "proxy_http_version 1.1; proxy_set_header X-Forwarded-For $remote_addr;",
        "proxy_http_version 1.1; proxy_set_header Host $host; proxy_set_header Via nginx;",
    ):
        with nginx.nginx(tmp_path, local.url, lines) as url:
            assert ask(url).status_code == 401
            assert ask(url, **{"x-api-key": local.key}).status_code in (200, 404)
    assert ask(local.url).status_code in (200, 404)


@needs_nginx
def test_plain_nginx__forged_addresses_do_not_open_it(local, tmp_path):
    with nginx.nginx(tmp_path, local.url) as url:
        for headers in ({"x-forwarded-for": "127.0.0.1"}, {"x-real-ip": "127.0.0.1"}, {"forwarded": "for=127.0.0.1"}):
            assert httpx.get(f"{url}/metrics", headers=headers, trust_env=False).status_code == 401


@pytest.mark.parametrize(
    "text",
    [
        "GET /metrics HTTP/1.0\nHost: 127.0.0.1",
        "GET /metrics HTTP/1.1\nHost: 127.0.0.1\nX-Forwarded-For: 127.0.0.1",
        "GET /metrics HTTP/1.1\nHost: 127.0.0.1\nVia: 1.1 somewhere",
        "GET /metrics HTTP/1.1\nHost: 127.0.0.1\nForwarded: for=127.0.0.1",
        "GET /metrics HTTP/1.1\nHost: 192.0.2.1",
    ],
)
def test_outsider__by_what_a_proxy_adds(local, text):
    assert raw(local, text)[0] == 401


def test_request_id__the_callers_own_if_it_is_plain(local):
    given = local.client.get("/nothing", headers={"x-request-id": "job-7"})
    assert given.json()["request_id"] == given.headers["x-request-id"] == "job-7"
    odd = local.client.get("/nothing", headers={"x-request-id": "<b>" + "x" * 200})
    assert odd.json()["request_id"] == odd.headers["x-request-id"] != ""
    assert "<" not in odd.headers["x-request-id"]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [("GET", "/nothing", b""), ("GET", "/v1/predict", b""), ("POST", "/v1/predict", b"junk"), ("PUT", "/", b"")],
)
def test_every_error__has_a_request_id(local, method, path, body):
    answers = [local.client.request(method, path, content=body) for _ in range(2)]
    ids = [answer.json()["request_id"] for answer in answers]
    assert ids == [answer.headers["x-request-id"] for answer in answers]
    assert len(set(ids)) == 2


def nginx_page():
    """The configuration that the book shows."""
    text = (Path(__file__).parents[2] / "docs" / "serving.md").read_text(encoding="utf-8")
    return text.partition("```nginx\n")[2].partition("```")[0]


@needs_nginx
def test_nginx_page_of_the_book__page_keys_and_addresses(tmp_path):
    with running(tmp_path, everyone=True, behind_proxy=True, hosts=("cones.example",)) as server:
        port = server.url.rsplit(":", 1)[1]
        book = nginx_page().replace("127.0.0.1:8080", f"127.0.0.1:{port}").replace("{", "{{").replace("}", "}}")
        servers = book.replace("listen 80;", "listen 127.0.0.1:{port};")
        with nginx.nginx(tmp_path, server.url, servers=servers) as url:
            named = {"host": "cones.example"}
            keyed = {**named, "x-api-key": server.key}
            with httpx.Client(base_url=url, trust_env=False) as client:
                assert client.get("/", headers=named).status_code == 200
                assert client.get("/health/ready", headers=named).status_code == 200
                assert client.get("/metrics", headers=named).status_code == 401
                assert client.post("/v1/predict", content=picture(1), headers=named).status_code == 401
                assert client.post("/v1/predict", content=picture(1), headers=keyed).status_code == 200
                own = {**keyed, "origin": "http://cones.example", "sec-fetch-site": "same-origin"}
                assert client.post("/v1/predict", content=picture(1), headers=own).status_code == 200
                foreign = {**keyed, "origin": "http://evil.example"}
                assert client.post("/v1/predict", content=picture(1), headers=foreign).status_code == 403
                large = client.post("/v1/predict", content=picture(1) + bytes(15_000_000), headers=keyed)
                assert large.status_code in (200, 400)  # past nginx's own limit of 1 MB


def test_behind_proxy__address_is_what_the_proxy_wrote_last():
    scope = {"headers": [(b"x-forwarded-for", b"127.0.0.1, 203.0.113.9")], "client": ("127.0.0.1", 5)}
    assert read_origin(scope, behind_proxy=True).address == "203.0.113.9"
    assert read_origin(scope, behind_proxy=False).address == "127.0.0.1"
    assert not read_origin(scope, behind_proxy=False).here


@pytest.mark.parametrize("damage", ['{"keys": [', "[" * 100_000, "\x00"])
def test_damaged_key_file__tells_strangers_nothing_and_the_last_keys_stay_in_force(tmp_path, damage):
    stranger = "sv_" + 12 * "0" + "_" + 43 * "a"

    def ask(shown):
        headers = {"content-type": "image/jpeg", "x-api-key": shown}
        answer = httpx.post(f"{server.url}/v1/predict", content=picture(1), headers=headers, trust_env=False)
        assert str(tmp_path) not in answer.text and "keys.json" not in answer.text
        return answer.status_code

    with running(tmp_path, everyone=True) as server:
        file = tmp_path / "keys.json"
        whole = file.read_text()
        file.write_text(damage)
        assert (ask(server.key), ask(stranger)) == (503, 503)
        file.write_text(whole)
        assert (ask(server.key), ask(stranger)) == (200, 401)
        file.write_text(damage)
        assert (ask(server.key), ask(stranger)) == (200, 401)
