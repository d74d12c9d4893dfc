"""`streetvision serve` and `replay`."""

from __future__ import annotations

from typing import Annotated

import typer

from streetvision_core.cli._learning import Json, Profile
from streetvision_core.cli._output import NAMED_ERROR, OK, PARTLY, emit, say


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command(epilog="Examples:  streetvision serve   ·   curl --data-binary @a.jpg localhost:8080/v1/predict")(serve)
    app.command(epilog="Examples:  streetvision replay photos/   ·   streetvision replay rendered --limit 50 --json")(
        replay
    )


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for every network.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8080,
    profile: Profile = "",
) -> None:
    """Serves the champion over HTTP, until Ctrl-C or SIGTERM; a promoted version takes over without a restart."""
    from streetvision_core.loop import tasks
    from streetvision_core.serving.run import serve as run

    day = tasks.open_day(profile)
    tasks.ensure_champion(day)
    say(f"listening on http://{host}:{port}, with a page to drop a photo on")
    run(day.settings, host, port)


def replay(
    source: Annotated[str, typer.Argument(help="A folder, `rendered`, or a logged day YYYY-MM-DD.")] = "rendered",
    target: Annotated[str, typer.Option(help="The server.")] = "http://127.0.0.1:8080",
    rate: Annotated[float | None, typer.Option(min=0.001, help="Requests per second; empty: all it can.")] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Most requests at a time.")] = 8,
    limit: Annotated[int | None, typer.Option(min=1, help="Most images to send.")] = None,
    profile: Profile = "",
    as_json: Json = False,
) -> None:
    """Sends images to a running server and reports latency, errors and, where the truth is known, the score."""
    from streetvision_core.serving.replay import run_replay
    from streetvision_core.settings import load_settings

    report = run_replay(load_settings(profile or None), target, source, rate, concurrency, limit)
    told = report.to_dict()
    if as_json:
        emit(told)
    else:
        for name, value in told.items():
            say(f"{name:12} {value}")
    raise typer.Exit(OK if not report.errors else PARTLY if report.answered else NAMED_ERROR)
