"""A small hub on the loopback that speaks the part of the protocol `huggingface_hub` uses to fetch a model."""

import hashlib
import json
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "a" * 40


@dataclass
class Hub:
    """Repositories by name; `break_after` cuts a large download, after which a hub that `dies` answers no more."""

    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    break_after: int | None = None
    dies: bool = False
    dead: bool = False
    lie: bool = False
    asked: list[str] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)
    ranges: list[str] = field(default_factory=list)
    url: str = ""

    def info(self, repo: str) -> dict:
        siblings = []
        for name, data in self.files[repo].items():
            one = {"rfilename": name, "size": len(data), "blobId": hashlib.sha1(data).hexdigest()}
            if name.endswith((".safetensors", ".bin")):
                digest = "0" * 64 if self.lie else hashlib.sha256(data).hexdigest()
                one["lfs"] = {"sha256": digest, "size": len(data), "pointerSize": 130}
            siblings.append(one)
        return {"id": repo, "modelId": repo, "sha": COMMIT, "siblings": siblings, "private": False, "tags": []}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self._answer(body=False)

    def do_GET(self):
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        if self.hub.dead:
            self.close_connection = True
            self.connection.close()
            return None
        path = self.path.split("?")[0]
        self.hub.asked.append(f"{self.command} {path}")
        if path.startswith(("/api/models/", "/api/datasets/")):
            repo = "/".join(path.split("/")[3:5])
            if repo not in self.hub.files:
                return self._send(404, {"X-Error-Code": "RepoNotFound"}, b'{"error": "Repository not found"}', body)
            if "/tree/" in path:
                tree = [
                    {"type": "file", "path": s["rfilename"], "size": s["size"], "oid": s["blobId"]}
                    | (
                        {"lfs": {"oid": s["lfs"]["sha256"], "size": s["size"], "pointerSize": 130}}
                        if "lfs" in s
                        else {}
                    )
                    for s in self.hub.info(repo)["siblings"]
                ]
                return self._send(200, {"Content-Type": "application/json"}, json.dumps(tree).encode(), body)
            data = json.dumps(self.hub.info(repo)).encode()
            return self._send(200, {"Content-Type": "application/json"}, data, body)
        owner, name, _, _, *rest = path.lstrip("/").removeprefix("datasets/").split("/")
        repo, file = f"{owner}/{name}", "/".join(rest)
        if repo in self.hub.gated:
            return self._send(403, {"X-Error-Code": "GatedRepo"}, b'{"error": "gated"}', body)
        data = self.hub.files[repo][file]
        headers = {
            "ETag": f'"{hashlib.sha256(data).hexdigest()}"',
            "X-Repo-Commit": COMMIT,
            "Accept-Ranges": "bytes",
            "X-Linked-Size": str(len(data)),
        }
        if wanted := self.headers.get("Range"):
            self.hub.ranges.append(wanted)
            start = int(wanted.removeprefix("bytes=").split("-")[0])
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
            return self._send(206, headers, data[start:], body)
        return self._send(200, headers, data, body)

    def _send(self, status: int, headers: dict[str, str], data: bytes, body: bool) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if not body:
            return
        if self.hub.break_after is not None and len(data) > self.hub.break_after:
            self.wfile.write(data[: self.hub.break_after])
            self.wfile.flush()
            while self.hub.dies and not any(path.endswith("config.json") for path in self.hub.sent):
                time.sleep(0.01)  # what is small is whole before the network is lost
            self.hub.dead = self.hub.dies
            self.close_connection = True
            self.connection.close()
            return
        self.wfile.write(data)
        self.wfile.flush()
        self.hub.sent.append(self.path)


class running_hub:  # noqa: N801
    """A context manager: a hub that serves until it is left."""

    def __enter__(self) -> Hub:
        self.hub = Hub()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self.hub}))
        self.hub.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()
        return self.hub

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
