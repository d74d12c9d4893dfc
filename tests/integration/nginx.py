"""A real nginx before a server, for the time of a context."""

import shutil
import socket
import subprocess
import time
from contextlib import contextmanager

import httpx

FOUND = shutil.which("nginx") is not None
CONFIG = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  {servers}
}}
"""
PLAIN = "server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass {upstream}; {lines} }} }}"
"""As one writes it on the first try."""


@contextmanager
def nginx(folder, upstream, lines="", servers=PLAIN):
    """Its URL.

    Args:
        folder: everything it writes.
        upstream: the server behind it.
        lines: put into `location /`.
        servers: what stands in `http`.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    config = folder / "nginx.conf"
    config.write_text(
        CONFIG.format(folder=folder, servers=servers.format(port=port, upstream=upstream, lines=lines, folder=folder))
    )
    process = subprocess.Popen(["nginx", "-c", str(config)], stderr=subprocess.PIPE, text=True)
    try:
        ends = time.monotonic() + 20
        while True:
            assert process.poll() is None, process.stderr.read()
            try:
                httpx.get(f"http://127.0.0.1:{port}/", trust_env=False)
                break
            except httpx.HTTPError:
                assert time.monotonic() < ends
                time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)
