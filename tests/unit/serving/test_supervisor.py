import asyncio
import os
import signal
import sys
import time

from streetvision_core.serving.model_metrics import FleetMetrics
from streetvision_core.serving.remote import RemoteServer
from streetvision_core.serving.servers import ServerSpec
from streetvision_core.serving.supervisor import Child
from streetvision_core.settings import load_settings

SAYS = "import sys; open(sys.argv[1] + '.settings', 'w').write(sys.stdin.readline()); sys.stdin.readline()"
DEAF = (
    "import signal, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1); sys.stdin.readline(); signal.pause()"
)


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


def child_of(program, path):
    settings = load_settings()
    settings = settings.model_copy(update={"serving": settings.serving.model_copy(update={"drain_seconds": 0.2})})
    server, metrics = RemoteServer(ServerSpec("one", f"unix:{path}")), FleetMetrics()
    return Child([sys.executable, "-c", program, str(path)], settings, server, metrics), server, metrics


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_child__gets_the_settings_is_restarted_after_a_kill_and_ends_with_us(tmp_path):
    async def scenario():
        child, _, metrics = child_of(SAYS, tmp_path / "a")
        told = tmp_path / "a.settings"
        await child.start()
        await until(lambda: told.exists() and told.read_text().endswith("\n"))
        first = child.pid
        os.kill(first, signal.SIGKILL)
        await until(lambda: child.pid not in (None, first))
        second = child.pid
        await child.stop()
        restarts = metrics.registry.get_sample_value("sv_model_server_restarts_total", {"server": "one"})
        return told.read_text(), restarts, alive(second)

    told, restarts, still = asyncio.run(scenario())
    assert type(load_settings()).model_validate_json(told).serving.drain_seconds == 0.2
    assert (restarts, still) == (1, False)


def test_child__is_told_where_the_workspace_lies(tmp_path, monkeypatch):
    """What it loads asks for the settings again, in whatever folder it was started."""
    monkeypatch.setenv("SV_PATHS__HOME", str(tmp_path / "workspace"))
    asks = (
        "import sys; from streetvision_core.settings import load_settings;"
        "open(sys.argv[1] + '.home', 'w').write(str(load_settings().paths.home) + chr(10)); sys.stdin.read()"
    )

    async def scenario():
        child, _, _ = child_of(asks, tmp_path / "a")
        monkeypatch.chdir("/")
        told = tmp_path / "a.home"
        await child.start()
        await until(lambda: told.exists() and told.read_text().endswith("\n"))
        await child.stop()
        return told.read_text()

    assert asyncio.run(scenario()) == f"{tmp_path / 'workspace'}\n"


def test_child__one_that_hangs_is_ended_and_started_anew(tmp_path):
    async def scenario():
        child, server, _ = child_of(DEAF, tmp_path / "a")
        await child.start()
        await until(lambda: child.pid is not None)
        first = child.pid
        server.hangs = True
        await until(lambda: not alive(first))
        server.hangs = False
        await until(lambda: child.pid not in (None, first))
        second, started = child.pid, time.monotonic()
        await child.stop()
        return alive(second), time.monotonic() - started

    still, took = asyncio.run(scenario())
    assert not still
    assert took < 5


def test_child__a_command_that_is_not_there_is_tried_again(tmp_path):
    async def scenario():
        child, _, metrics = child_of("", tmp_path / "a")
        child._command = ["/no/such/program"]
        await child.start()
        value = lambda: metrics.registry.get_sample_value("sv_model_server_restarts_total", {"server": "one"}) or 0  # noqa: E731
        await until(lambda: value() >= 2)
        await child.stop()
        return child.pid

    assert asyncio.run(scenario()) is None
