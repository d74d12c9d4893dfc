import os
import socket

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from streetvision_core.errors import ServingError
from streetvision_core.serving._listening import listen, listen_at, url_of
from streetvision_core.serving.run import in_background

APP = Starlette(routes=[Route("/", lambda _: PlainTextResponse("here"))])


def can_listen(host):
    try:
        with listen(host, 0):
            return True
    except ServingError:
        return False


@pytest.mark.parametrize(
    ("host", "begin"),
    [
        ("127.0.0.1", "http://127.0.0.1:"),
        ("::1", "http://[::1]:"),
        ("0.0.0.0", "http://127.0.0.1:"),
        ("::", "http://[::1]:"),
    ],
)
def test_url_of__is_an_address_that_answers(host, begin):
    if not can_listen(host):
        pytest.skip("this machine has no IPv6")
    with in_background(APP, host) as url:
        assert url.startswith(begin)
        assert httpx.get(url, trust_env=False).text == "here"


def test_url_of__has_the_true_port_of_0():
    with listen("127.0.0.1", 0) as listener:
        assert url_of(listener) == f"http://127.0.0.1:{listener.getsockname()[1]}/"
        assert not url_of(listener).endswith(":0/")


def test_listen__a_taken_port_says_who_has_it():
    with listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(ServingError, match=rf"127.0.0.1:{port}, on which .*\(process {os.getpid()}\)") as caught:
            listen("127.0.0.1", port)
    assert "--port" in caught.value.action


@pytest.mark.parametrize("host", ["203.0.113.1", "no-such-host.invalid"])
def test_listen__an_address_of_another_machine(host):
    with pytest.raises(ServingError, match="cannot be listened on"):
        listen(host, 0)


def test_listen_at__a_socket_that_a_server_answers_on_is_left_alone(tmp_path):
    address = f"unix:{tmp_path / 's'}"
    with listen_at(address):
        with pytest.raises(ServingError, match="another server listens on"):
            listen_at(address)
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(str(tmp_path / "s"))
    with listen_at(address) as again:  # nobody serves it any more
        assert again.getsockname() == str(tmp_path / "s")


def test_listen_at__a_file_is_never_removed(tmp_path):
    (tmp_path / "photo.jpg").write_bytes(b"1")
    with pytest.raises(ServingError, match="no socket and stays as it is"):
        listen_at(f"unix:{tmp_path / 'photo.jpg'}")
    assert (tmp_path / "photo.jpg").read_bytes() == b"1"
    with pytest.raises(ServingError, match="no socket and stays as it is"):
        listen_at(f"unix:{tmp_path}")
    with pytest.raises(ServingError, match="cannot be listened on"):
        listen_at(f"unix:{tmp_path / 'no' / 'folder'}")
