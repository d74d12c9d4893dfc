"""`streetvision serve` and `replay`."""

from __future__ import annotations

import os
import signal
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from streetvision_core.cli._learning import Json, Profile
from streetvision_core.cli._output import NAMED_ERROR, OK, PARTLY, emit, say
from streetvision_core.errors import RegistryError, ServingError

if TYPE_CHECKING:
    from streetvision_core.settings import Settings


PIN_VARIABLE: Final = "STREETVISION_PIN"


class Role(StrEnum):
    """What this process is."""

    BOTH = "both"
    GATEWAY = "gateway"
    MODEL = "model"


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command(
        epilog="Examples:  streetvision serve   ·   streetvision serve --role model --listen http://127.0.0.1:8101"
        "   ·   streetvision serve --role gateway --model http://127.0.0.1:8101=9 --model http://127.0.0.1:8102=1"
    )(serve)
    app.add_typer(keys_app, name="keys")
    app.command(epilog="Examples:  streetvision replay photos/   ·   streetvision replay rendered --limit 50 --json")(
        replay
    )


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for every network.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 8080,
    role: Annotated[
        Role, typer.Option(help="`both`: a gateway that starts its model server; or one of the two alone.")
    ] = Role.BOTH,
    model: Annotated[
        list[str] | None,
        typer.Option(help="A model server for the gateway: unix:/path or http://host:port, and =WEIGHT. Repeatable."),
    ] = None,
    models_file: Annotated[
        Path | None, typer.Option(help="YAML that names the model servers; may change while the gateway runs.")
    ] = None,
    listen: Annotated[str, typer.Option(help="Where a model server listens.")] = "http://127.0.0.1:8101",
    pin: Annotated[
        str,
        typer.Option(
            help="Version, number, or `challenger`, that the model servers started here serve instead of the champion.",
            envvar=PIN_VARIABLE,
        ),
    ] = "",
    supervised: Annotated[bool, typer.Option(hidden=True, help="Settings come, and the end, by stdin.")] = False,
    profile: Profile = "",
) -> None:
    """Serves the champion over HTTP, until Ctrl-C or SIGTERM; a promoted version takes over without a restart."""
    from streetvision_core.models import hub
    from streetvision_core.serving import run
    from streetvision_core.serving.origin import is_loopback
    from streetvision_core.serving.servers import parse_specs
    from streetvision_core.settings import Settings, load_settings
    from streetvision_core.workspace import check_writable

    settings = Settings.model_validate_json(sys.stdin.readline()) if supervised else load_settings(profile or None)
    check_writable(settings.paths.resolve("data"))
    if role is Role.MODEL:
        _first_version(settings)
        run.serve_model(settings, listen, supervised=supervised, pinned=pin or None)
        return
    named = bool(model or models_file)
    if named != (role is Role.GATEWAY) or (model and models_file):
        raise ServingError(
            got=f"--role {role} with {'' if named else 'no '}model servers named",
            allowed="--role gateway with either --model or --models-file; --role both with neither",
            action="name the model servers for a gateway alone, or leave --role out to start one",
        )
    # the variable may be there for the model servers of this machine
    if role is Role.GATEWAY and pin != os.environ.get(PIN_VARIABLE, ""):
        raise ServingError(
            got=f"--pin {pin} for a gateway that starts no model server",
            allowed="--pin where a model is loaded, or a pin of the whole workspace",
            action="give it to `streetvision serve --role model`, or run `streetvision versions pin`",
        )
    if pin and role is Role.BOTH:
        run.check_pin(settings, pin)
    if role is Role.BOTH:
        hub.require(settings)
    command = run.model_command(pin) if role is Role.BOTH else None

    def announce(url: str) -> None:
        elsewhere = "" if is_loopback(host) else ", and at this machine's other addresses"
        say(f"{url}{elsewhere}: a page to drop a photo on; ready once a model answers")

    run.serve(settings, host, port, parse_specs(model) if model else (), models_file, command, announce=announce)


def _first_version(settings: Settings) -> None:
    """Makes the first version in a process of its own, so that what training loads does not stay with the server."""
    from multiprocessing import get_context

    from streetvision_core.registry.versions import open_registry

    try:
        if open_registry(settings).promotions.champion() is not None:
            return
    except RegistryError as error:
        say(("the promotions history cannot be read", "bold red"), f"; what is whole of it serves: {error.got}")
        return
    process = get_context("spawn").Process(target=_make_first_version, args=(settings.to_child_json(),))
    process.start()

    def stop(*_: object) -> None:
        process.terminate()
        sys.exit(143)

    signal.signal(signal.SIGTERM, stop)  # training must not go on without us
    process.join()
    if process.exitcode:
        raise ServingError("no version that serves", "a first version", "look above for why none could be made")


def _make_first_version(text: str) -> None:
    from streetvision_core.cli._first import first_version
    from streetvision_core.errors import StreetVisionError
    from streetvision_core.registry.versions import open_registry
    from streetvision_core.settings import Settings

    settings = Settings.model_validate_json(text)
    try:
        first_version(settings, open_registry(settings))
    except StreetVisionError as error:
        say((f"{type(error).__name__}: ", "bold red"), str(error))
        sys.exit(1)


keys_app = typer.Typer(
    help="API keys of the HTTP server: kept as hashes in data/keys.json.",
    epilog="Examples:  streetvision keys add alice   ·   streetvision keys list   ·   streetvision keys revoke alice",
    no_args_is_help=True,
)


@keys_app.command("add", epilog="Example:  streetvision keys add alice --rate 5")
def add_key(
    name: Annotated[str, typer.Argument(help="Who gets it.")],
    rate: Annotated[float | None, typer.Option(help="Requests a second; empty: the server's default.")] = None,
    profile: Profile = "",
) -> None:
    """Makes a key and prints it; it is shown this once."""
    from streetvision_core.serving.keys import open_keys
    from streetvision_core.settings import load_settings

    typer.echo(open_keys(load_settings(profile or None)).add(name, rate))


@keys_app.command("list", epilog="Example:  streetvision keys list --json")
def list_keys(profile: Profile = "", as_json: Json = False) -> None:
    """Says which keys there are."""
    from streetvision_core.serving.keys import open_keys
    from streetvision_core.settings import load_settings

    keys = [key.to_dict() for key in open_keys(load_settings(profile or None)).list()]
    if as_json:
        emit(keys)
    for key in () if as_json else keys:
        rate = f"{key['requests_per_second']:g} a second" if key["requests_per_second"] else "the default rate"
        say(f"{key['name']:20} {rate}, {'revoked ' + key['revoked'] if key['revoked'] else 'valid'}")


@keys_app.command("revoke", epilog="Example:  streetvision keys revoke alice")
def revoke_key(name: Annotated[str, typer.Argument(help="Whose.")], profile: Profile = "") -> None:
    """Refuses a key from now on, in running servers too."""
    from streetvision_core.serving.keys import open_keys
    from streetvision_core.settings import load_settings

    open_keys(load_settings(profile or None)).revoke(name)
    say(f"{name}: revoked")


def replay(
    source: Annotated[
        str, typer.Argument(help="A folder, a CSV that lists images, `rendered`, or a logged day YYYY-MM-DD.")
    ] = "rendered",
    target: Annotated[str, typer.Option(help="The server.")] = "http://127.0.0.1:8080",
    rate: Annotated[float | None, typer.Option(min=0.001, help="Requests per second; empty: all it can.")] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Most requests at a time.")] = 8,
    limit: Annotated[int | None, typer.Option(min=1, help="Most images to send.")] = None,
    protocol: Annotated[str, typer.Option(help="http, or sn72 for signed queries as a validator sends them.")] = "http",
    key: Annotated[Path | None, typer.Option(help="sn72: hotkey file to sign with; empty: a throw-away key.")] = None,
    receiver: Annotated[str, typer.Option(help="sn72: the server's hotkey; empty: this workspace's.")] = "",
    profile: Profile = "",
    as_json: Json = False,
) -> None:
    """Sends images to a running server and reports latency, errors and, where the truth is known, the score."""
    from streetvision_core.cli._miner import asker_of
    from streetvision_core.serving.replay import run_replay
    from streetvision_core.settings import load_settings

    settings = load_settings(profile or None)
    asker = asker_of(settings, protocol, key, receiver)
    report = run_replay(settings, target, source, rate, concurrency, limit, asker)
    told = report.to_dict()
    if as_json:
        emit(told)
    else:
        for name, value in told.items():
            say(f"{name:12} {value}")
    raise typer.Exit(OK if not report.errors else PARTLY if report.answered else NAMED_ERROR)
