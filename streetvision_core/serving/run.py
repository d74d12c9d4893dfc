"""`streetvision serve`: gateway and model server as two processes, together in one command or each on its own."""

from __future__ import annotations

import math
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Final

import structlog
import uvicorn
from starlette.applications import Starlette

from streetvision_core.errors import NotReadyError, ServingError, StreetVisionError
from streetvision_core.mining.querylog import open_or_set_aside
from streetvision_core.registry.versions import ModelVersion, open_registry
from streetvision_core.serving._bounded import bounded
from streetvision_core.serving._line import UNIX, address_parts
from streetvision_core.serving._listening import allow_open_files, listen, listen_at, url_of
from streetvision_core.serving.access import KeyRule, keys_for
from streetvision_core.serving.engine import Engine
from streetvision_core.serving.fleet import Fleet
from streetvision_core.serving.gateway_app import MOUNTS, Mount, create_gateway_app, mount_model_metrics
from streetvision_core.serving.metrics import Metrics
from streetvision_core.serving.model_app import create_model_app
from streetvision_core.serving.model_metrics import FleetMetrics
from streetvision_core.serving.origin import is_loopback
from streetvision_core.serving.reload import RegistryChampions
from streetvision_core.serving.servers import ServerSpec, parse_specs, read_specs
from streetvision_core.serving.supervisor import Child, end_with_parent
from streetvision_core.settings import ServingSettings, Settings

if TYPE_CHECKING:
    from streetvision_core.data.feature_keeper import FeatureKeeper

HOST: Final = "127.0.0.1"
PORT: Final = 8080
MODEL_ADDRESS: Final = "http://127.0.0.1:8101"
START_SECONDS: Final = 600.0
"""Longest that a model may take to load before whoever waits for it gives up."""

Load = Callable[[ModelVersion], Engine]
_log = structlog.get_logger(__name__)


def serve(
    settings: Settings,
    host: str = HOST,
    port: int = PORT,
    models: Sequence[ServerSpec] = (),
    models_file: Path | None = None,
    command: Sequence[str] | None = None,
    mounts: Sequence[Mount] = MOUNTS,
    announce: Callable[[str], None] = lambda _: None,
) -> None:
    """Serves until SIGTERM or Ctrl-C; then answers what it holds, writes the log and returns.

    Args:
        settings: where the workspace lies, and all limits.
        host: address to listen on; `0.0.0.0` for every network.
        port: 0 takes a free one; `announce` gets it.
        models: model servers that run elsewhere; without them, and without a file, a model server is started.
        models_file: names them, and may change while we run.
        command: starts a model server that listens on the address added at its end; ours if None.
        mounts: the protocols.
        announce: gets the URL once the port is taken.

    Raises:
        ServingError: the address cannot be listened on, its callers need keys and there is none, or the list of model
            servers cannot be used.
    """
    keys = keys_for(settings, host)
    listener = listen(host, port)
    with listener, gateway_app(settings, models, models_file, command, keys=keys, mounts=mounts) as app:
        announce(url_of(listener))
        _log.info("listening", url=url_of(listener))
        _Server(_config(app, settings.serving.drain_seconds)).run(sockets=[listener])
    _log.info("stopped")


@contextmanager
def gateway_app(
    settings: Settings,
    models: Sequence[ServerSpec] = (),
    models_file: Path | None = None,
    command: Sequence[str] | None = None,
    log: bool = True,
    keys: KeyRule | None = None,
    mounts: Sequence[Mount] = MOUNTS,
) -> Iterator[Starlette]:
    """The gateway's application; the model servers it starts live as long as it runs.

    Args:
        settings: as for `serve`.
        models: as for `serve`.
        models_file: as for `serve`.
        command: as for `serve`.
        log: whether answers are written into the workspace's query log.
        keys: who needs one; None asks for none.
        mounts: the protocols.
    """
    metrics = Metrics()
    fleet_metrics = FleetMetrics(metrics.registry, settings.gate.max_age_days)
    keeps = log and settings.retention.keep_queries
    queries = partial(open_or_set_aside, settings.paths.resolve("data") / "queries") if keeps else None
    with tempfile.TemporaryDirectory(prefix="streetvision-") as folder:
        specs = read_specs(models_file) if models_file else tuple(models)
        own = not specs
        if own:
            specs = parse_specs([f"{UNIX}{folder}/{i}" for i in range(settings.serving.model_processes)])
        fleet = Fleet(specs, settings.serving, fleet_metrics, models_file)
        start = command or model_command()
        children = [Child([*start, s.spec.url], settings, s, fleet_metrics) for s in fleet.servers] if own else []
        yield create_gateway_app(
            fleet,
            settings,
            metrics,
            queries,
            sides=(fleet, *children),
            mounts=(*mounts, mount_model_metrics(fleet)),
            keys=keys,
        )


@contextmanager
def running(settings: Settings, patience_seconds: float = START_SECONDS) -> Iterator[str]:
    """A server for the time of a context: the gateway in a thread, its model server in a process of its own.

    It keeps no query log, and what it answers late is still answered; for the loop, which logs its rendered day itself.

    Args:
        settings: a champion must be there.
        patience_seconds: how long the model may take to load.

    Yields:
        Its URL, once it is ready.

    Raises:
        ServingError: it does not become ready.
    """
    patient = settings.serving.model_copy(update={"deadline_seconds": 60.0})
    settings = settings.model_copy(update={"serving": patient})
    with gateway_app(settings, log=False) as app, in_background(app) as url:
        ends = time.monotonic() + patience_seconds
        while True:
            try:
                app.state.gateway.check_ready()
                break
            except NotReadyError as error:
                if time.monotonic() > ends:
                    raise ServingError(
                        got=f"no model within {patience_seconds:g} s ({error.got})",
                        allowed="a model server that answers its warm-up frame",
                        action="look above for what it said",
                    ) from error
            time.sleep(0.05)
        yield url


def model_command(pinned: str | None = None) -> list[str]:
    """Starts a model server on the address added at its end.

    Args:
        pinned: a version, its number, or `challenger`, that it serves instead of the champion.
    """
    pin = ["--pin", pinned] if pinned else []
    return [sys.executable, "-m", "streetvision_core", "serve", "--role", "model", "--supervised", *pin, "--listen"]


def serve_model(
    settings: Settings,
    address: str = MODEL_ADDRESS,
    load: Load | None = None,
    supervised: bool = False,
    pinned: str | None = None,
) -> None:
    """Serves the champion to gateways until SIGTERM or Ctrl-C.

    Args:
        settings: where the workspace lies, and all limits.
        address: `unix:/path/to/socket` or `http://host:port`; it has no keys, so never a public one.
        load: makes an engine of a version; the cascade of this profile if None.
        supervised: also end when standard input closes.
        pinned: a version, its number, or `challenger`, that serves instead of the champion.

    Raises:
        ServingError: the address cannot be listened on.
        RegistryError: `pinned` names no version that was put up for service.
    """
    champions = RegistryChampions(open_registry(settings), load or cascade_loader(settings), pinned)
    if pinned is not None:
        check_pin(settings, pinned)
    path, host, _ = address_parts(address)
    if path is None and not is_loopback(host):
        _log.warning("this model server has no keys: whoever reaches its address is answered", address=address)
    with listen_at(address) as listener:
        config = _config(create_model_app(None, settings, champions), settings.serving.drain_seconds)
        server = _Server(config)
        if supervised:
            end = lambda: os.kill(os.getpid(), signal.SIGTERM)  # noqa: E731
            threading.Thread(target=end_with_parent, args=(end,), name="parent", daemon=True).start()
        _log.info("model server listens", address=address, champion=_champion_for_log(champions))
        server.run(sockets=[listener])


def check_pin(settings: Settings, pinned: str) -> None:
    """Refuses a pin that no model server could follow, before one is started.

    Raises:
        RegistryError: no such version, or one that nobody has put up for service.
    """
    RegistryChampions(open_registry(settings), cascade_loader(settings), pinned).name()


def _champion_for_log(champions: RegistryChampions) -> str:
    try:
        return champions.name() or "none yet"
    except StreetVisionError as error:  # what serves then is the watcher's business
        return f"not known: {error.got}"


@contextmanager
def in_background(app: Starlette, host: str = HOST, port: int = 0) -> Iterator[str]:
    """Runs an application in a thread; for notebooks, the demo and tests.

    Yields:
        Its URL, without a slash at the end. Leaving the context stops it gracefully.

    Raises:
        ServingError: the address cannot be listened on, or the application does not start.
    """
    listener = listen(host, port)
    server = _Server(_config(app, drain_seconds=5))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="server", daemon=True)
    with listener:
        thread.start()
        try:
            while not server.started:
                if not thread.is_alive():
                    raise ServingError("an application that does not start", "one that does", "look into the log")
                time.sleep(0.005)
            yield url_of(listener).rstrip("/")
        finally:
            server.should_exit = True
            thread.join()


def _config(app: Starlette, drain_seconds: float) -> uvicorn.Config:
    serving = getattr(app.state, "serving", ServingSettings())
    allow_open_files(2 * serving.max_connections + 1024)  # both ends, where a test or notebook is its own caller
    return uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        ws="none",
        proxy_headers=False,  # who may be believed is for `wall` to say
        http=bounded(serving),
        lifespan="on",
        timeout_graceful_shutdown=math.ceil(drain_seconds),
    )


class _Server(uvicorn.Server):
    """Returns after a graceful stop; uvicorn's own server raises the signal again and so hides what comes after."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal stops gracefully, a second one at once."""
        self.force_exit = self.should_exit
        self.should_exit = True


def cascade_loader(settings: Settings) -> Load:
    """Makes the cascade of a version.

    Each version gets models of its own: while the next one warms up, the old one is at work in another thread. What the
    backbone saw is kept for the night.
    """

    @cache
    def keeper() -> FeatureKeeper:
        from streetvision_core.data.feature_keeper import FeatureKeeper
        from streetvision_core.data.feature_store import FeatureStore, store_path

        return FeatureKeeper(FeatureStore(store_path(settings)))

    def load(version: ModelVersion) -> Engine:
        # the model libraries load only where a model does
        from streetvision_core.cascade.engine import Cascade

        cascade: Engine = Cascade.from_version(version.folder, settings, keeper=keeper())
        return cascade

    return load
