"""`streetvision serve`: the registry's champion behind uvicorn, until a signal says stop."""

from __future__ import annotations

import math
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

import structlog
import uvicorn
from starlette.applications import Starlette

from streetvision_core.errors import ServingError
from streetvision_core.mining.querylog import QueryLog
from streetvision_core.registry.versions import ModelVersion, open_registry
from streetvision_core.serving.app import create_app
from streetvision_core.serving.engine import Engine
from streetvision_core.serving.reload import RegistryChampions
from streetvision_core.settings import Settings

HOST: Final = "127.0.0.1"
PORT: Final = 8080
MAX_CONNECTIONS: Final = 1024
"""Beyond the queue, which answers 429, this bounds callers that connect and say nothing."""

Load = Callable[[ModelVersion], Engine]
_log = structlog.get_logger(__name__)


def serve(settings: Settings, host: str = HOST, port: int = PORT, load: Load | None = None) -> None:
    """Serves the champion until SIGTERM or Ctrl-C; then answers what it holds, writes the log and returns.

    Args:
        settings: where the workspace lies, and all limits.
        host: address to listen on; `0.0.0.0` for every network.
        port: 0 takes a free one; it is logged.
        load: makes an engine of a version; the cascade of this profile if None.

    Raises:
        ServingError: the address cannot be listened on.
    """
    data = settings.paths.resolve("data")
    champions = RegistryChampions(open_registry(settings), load or cascade_loader(settings))
    app = create_app(None, settings, QueryLog(data / "queries"), champions)
    listener = _listen(host, port)
    drain = math.ceil(settings.serving.drain_seconds)
    address, bound = listener.getsockname()[:2]
    _log.info("listening", url=f"http://{address}:{bound}/", champion=champions.name() or "none yet")
    with listener:
        _Server(_config(app, drain)).run(sockets=[listener])
    _log.info("stopped")


@contextmanager
def in_background(app: Starlette, host: str = HOST, port: int = 0) -> Iterator[str]:
    """Runs an application in a thread; for notebooks, the demo and tests.

    Yields:
        Its URL, without a slash at the end. Leaving the context stops it gracefully.

    Raises:
        ServingError: the address cannot be listened on, or the application does not start.
    """
    listener = _listen(host, port)
    server = _Server(_config(app, drain_seconds=5))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="server", daemon=True)
    with listener:
        address, bound = listener.getsockname()[:2]
        thread.start()
        try:
            while not server.started:
                if not thread.is_alive():
                    raise ServingError("an application that does not start", "one that does", "look into the log")
                time.sleep(0.005)
            yield f"http://{address}:{bound}"
        finally:
            server.should_exit = True
            thread.join()


def _config(app: Starlette, drain_seconds: int) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        ws="none",
        lifespan="on",
        limit_concurrency=MAX_CONNECTIONS,
        timeout_graceful_shutdown=drain_seconds,
    )


class _Server(uvicorn.Server):
    """Returns after a graceful stop; uvicorn's own server raises the signal again and so hides what comes after."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal stops gracefully, a second one at once."""
        self.force_exit = self.should_exit
        self.should_exit = True


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket, so that the port is known, and refused, before a model is loaded."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=MAX_CONNECTIONS)
    except (OSError, OverflowError) as error:
        raise ServingError(
            got=f"{host}:{port}, which cannot be listened on ({error})",
            allowed="a free port of an address of this machine",
            action="choose another --port, or end the server that uses it",
            host=host,
            port=port,
        ) from error


def cascade_loader(settings: Settings) -> Load:
    """Makes the cascade of a version.

    Each version gets models of its own: while the next one warms up, the old one is at work in another thread.
    """

    def load(version: ModelVersion) -> Engine:
        # the model libraries load only where a model does
        from streetvision_core.cascade.engine import Cascade

        cascade: Engine = Cascade.from_version(version.folder, settings)
        return cascade

    return load
