"""`streetvision mine` and `metagraph`: the miner, and the process beside it that talks to the chain."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streetvision_core.cli._learning import Json, Profile
from streetvision_core.cli._output import emit, say

if TYPE_CHECKING:
    from streetvision_core.economics.gate import Gate
    from streetvision_core.serving.protocols.sn72.client import Asker
    from streetvision_core.settings import Settings

Network = Annotated[str, typer.Option(help="test, finney or local; empty takes the settings'.")]
Netuid = Annotated[int | None, typer.Option(min=0, help="The subnet; empty: 72 on finney, else the settings'.")]
_PORT = 8091
MINER_KEY, REPLAY_KEY = "miner-key.json", "replay-key.json"
"""Throw-away keys of the workspace, for the test network and local use."""


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command(
        epilog="Examples:  streetvision mine --check   ·   streetvision mine   ·   "
        "streetvision mine --wallet ~/.bittensor/wallets/main/hotkeys/m1"
    )(mine)
    chain = typer.Typer(
        help="What the chain says, in a file the server reads. Only these commands load the chain SDK.",
        epilog="Example:  streetvision metagraph refresh --netuid 323 --network test --every 600",
        no_args_is_help=True,
    )
    chain.command(epilog="Example:  streetvision metagraph refresh --netuid 323 --network test --every 600")(refresh)
    chain.command(
        epilog="Example:  streetvision metagraph publish ~/.bittensor/wallets/main/hotkeys/m1 --ip 203.0.113.7"
    )(publish)
    app.add_typer(chain, name="metagraph")


def mine(
    wallet: Annotated[Path | None, typer.Option(help="Hotkey file; only its address is read.")] = None,
    hotkey: Annotated[str, typer.Option(help="Or the address itself. With neither: a throw-away hotkey.")] = "",
    network: Network = "",
    netuid: Netuid = None,
    allow_hotkey: Annotated[
        list[str] | None, typer.Option(help="Also answer this caller, whatever the snapshot says.")
    ] = None,
    although_unpaid: Annotated[
        bool, typer.Option("--although-unpaid", help="Mine on finney even where the gate says it pays nothing.")
    ] = False,
    check: Annotated[bool, typer.Option("--check", help="Print the chain gate and end.")] = False,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "0.0.0.0",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = _PORT,
    profile: Profile = "",
    as_json: Json = False,
) -> None:
    """Answers a subnet's validators, after saying what that is worth.

    The chain gate comes first: is the subnet alive, is its emission burnt, is our hotkey registered, when was it last
    asked. The default is the test network, where this workspace's replays are answered too:
    `streetvision replay --protocol sn72 --target http://127.0.0.1:8091`.
    """
    from streetvision_core.settings import load_settings

    settings = _miner_settings(load_settings(profile or None), network, netuid, wallet, hotkey, allow_hotkey or [])
    gate = _gate(settings)
    if as_json:
        emit({**gate.to_dict(), "hotkey": settings.sn72.hotkey, "allow_hotkeys": settings.sn72.allow_hotkeys})
    _tell(gate)
    if check:
        return
    gate.check(although_unpaid)

    from streetvision_core.serving.run import serve
    from streetvision_core.workspace import check_writable

    check_writable(settings.paths.resolve("data"))

    def announce(url: str) -> None:
        say(f"hotkey {settings.sn72.hotkey} answers on {url}ImageSynapse once a model is ready")

    serve(settings, host, port, announce=announce)


def refresh(
    network: Network = "",
    netuid: Netuid = None,
    out: Annotated[
        Path | None, typer.Option(help="The file; empty takes the workspace's, which the server reads.")
    ] = None,
    every: Annotated[float, typer.Option(min=0, help="Seconds between two readings; 0 reads once.")] = 0.0,
    profile: Profile = "",
    as_json: Json = False,
) -> None:
    """Reads the metagraph from the chain into the snapshot that the server's permit rules use."""
    from streetvision_core.economics.chain import fetch_snapshot
    from streetvision_core.errors import ChainError
    from streetvision_core.serving.protocols.sn72.snapshot import write_snapshot
    from streetvision_core.settings import load_settings

    settings = _chain_settings(load_settings(profile or None), network, netuid)
    target = out or _snapshot_path(settings)
    while True:
        try:
            snapshot = fetch_snapshot(settings.sn72.network, settings.sn72.netuid)
            write_snapshot(target, snapshot)
            permits = sum(neuron.validator_permit for neuron in snapshot.neurons)
            say(f"block {snapshot.block}: {len(snapshot.neurons)} hotkeys, {permits} validators, in {target}")
            if as_json:
                emit({"path": str(target), "block": snapshot.block, "hotkeys": len(snapshot.neurons)})
        except ChainError as error:
            if not every:
                raise
            say(("not refreshed", "yellow"), f": {error.got}")
        if not every:
            return
        time.sleep(every)


def publish(
    wallet: Annotated[Path, typer.Argument(help="Hotkey file of a bittensor wallet.")],
    ip: Annotated[str, typer.Option(help="Public address that validators can reach.")],
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port that validators can reach.")] = _PORT,
    network: Network = "",
    netuid: Netuid = None,
    although_unpaid: Annotated[bool, typer.Option("--although-unpaid", help="See `mine`.")] = False,
    profile: Profile = "",
) -> None:
    """Writes onto the chain where our hotkey serves. The hotkey signs; the coldkey's secret is never opened."""
    from streetvision_core.economics.chain import publish_endpoint
    from streetvision_core.settings import load_settings

    settings = _miner_settings(load_settings(profile or None), network, netuid, wallet, "", [])
    _gate(settings).check(although_unpaid)
    say(publish_endpoint(settings.sn72.network, settings.sn72.netuid, wallet, ip, port))


def _chain_settings(settings: Settings, network: str, netuid: int | None) -> Settings:
    own = settings.sn72
    if netuid is None:
        netuid = 72 if network == "finney" else own.netuid
    return _with_sn72(settings, network=network or own.network, netuid=netuid)


def _miner_settings(
    settings: Settings, network: str, netuid: int | None, wallet: Path | None, hotkey: str, allowed: list[str]
) -> Settings:
    """The settings with what the command line says; off the main network, replays of this workspace get in."""
    from streetvision_core.serving.protocols.sn72.keys import load_or_make_key, read_address

    settings = _chain_settings(settings, network, netuid)
    own = settings.sn72
    address = read_address(wallet.expanduser()) if wallet else hotkey or own.hotkey
    callers = [*own.allow_hotkeys, *allowed]
    if own.network != "finney":
        folder = chain_folder(settings)
        address = address or load_or_make_key(folder / MINER_KEY).address
        callers.append(load_or_make_key(folder / REPLAY_KEY).address)
    if address is None:
        from streetvision_core.errors import ChainError

        raise ChainError("no hotkey", "a registered hotkey on finney", "name its file with --wallet, or --hotkey")
    return _with_sn72(settings, hotkey=address, allow_hotkeys=tuple(dict.fromkeys(callers)))


def asker_of(settings: Settings, protocol: str, key: Path | None, receiver: str) -> Asker | None:
    """Who signs a replay's queries; None where they are plain HTTP.

    Raises:
        ServingError: another protocol.
        ChainError: the key, or the receiver's address, is none.
    """
    from streetvision_core.errors import ServingError

    if protocol == "http":
        return None
    if protocol != "sn72":
        raise ServingError(f"the protocol {protocol!r}", "http, sn72", "choose one of them")
    from streetvision_core.serving.protocols.sn72.client import Asker
    from streetvision_core.serving.protocols.sn72.keys import decode_address, load_key, load_or_make_key

    folder = chain_folder(settings)
    pair = load_key(key.expanduser()) if key else load_or_make_key(folder / REPLAY_KEY)
    address = receiver or settings.sn72.hotkey or load_or_make_key(folder / MINER_KEY).address
    decode_address(address)
    return Asker(pair, address)


def _with_sn72(settings: Settings, **values: object) -> Settings:
    """Checked like the environment's values, unlike a plain `model_copy`."""
    from pydantic import ValidationError

    from streetvision_core.errors import SettingsError
    from streetvision_core.settings import Sn72Settings

    try:
        own = Sn72Settings(**{**settings.sn72.model_dump(), **values})
    except ValidationError as error:
        first = error.errors()[0]
        raise SettingsError(f"sn72.{first['loc'][0]} = {first['input']!r}", first["msg"], "mend the option") from error
    return settings.model_copy(update={"sn72": own})


def chain_folder(settings: Settings) -> Path:
    """Where snapshot, nonces and throw-away keys lie."""
    return settings.paths.resolve("data") / settings.sn72.folder


def _snapshot_path(settings: Settings) -> Path:
    from streetvision_core.serving.protocols.sn72.access import SNAPSHOT_FILE

    return chain_folder(settings) / SNAPSHOT_FILE


def _gate(settings: Settings) -> Gate:
    from streetvision_core.economics.gate import examine
    from streetvision_core.errors import ChainError
    from streetvision_core.serving.protocols.sn72.snapshot import read_snapshot

    try:
        snapshot = read_snapshot(_snapshot_path(settings))
    except ChainError:
        snapshot = None
    own = settings.sn72
    return examine(own.network, own.netuid, own.hotkey, snapshot, _last_asked(settings))


def _last_asked(settings: Settings) -> datetime | None:
    from streetvision_core.mining.querylog import QueryLog
    from streetvision_core.serving.protocols.sn72.protocol import PROTOCOL

    root = settings.paths.resolve("data") / "queries"
    if not (root / "queries.sqlite").is_file():
        return None
    with QueryLog(root) as log:
        return log.last_received(PROTOCOL)


def _tell(gate: Gate) -> None:
    marks = {"good": ("+", "green"), "bad": ("-", "red"), "unknown": ("?", "yellow")}
    say(("chain gate", "bold"), f" {gate.network}/{gate.netuid}")
    for finding in gate.findings:
        say("  ", marks[finding.sign], f" {finding.question} {finding.answer}")
    pays = {True: "a miner can earn there", False: "a miner earns nothing there", None: "whether it pays is not known"}
    say(f"  = {pays[gate.pays]}")
