"""The chain itself. Only the process that runs these functions loads the chain SDK; the server reads what it writes."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from streetvision_core.errors import ChainError, MissingExtraError, StreetVisionError
from streetvision_core.serving.protocols.sn72.keys import read_address
from streetvision_core.serving.protocols.sn72.snapshot import Neuron, Snapshot

Connect = Callable[[str], Any]
"""Makes a connection to a network, by its name."""


def fetch_snapshot(network: str, netuid: int, connect: Connect | None = None) -> Snapshot:
    """Reads a subnet's metagraph from the chain.

    Args:
        network: `test`, `finney` or `local`.
        netuid: the subnet.
        connect: makes the connection; the SDK's own if None.

    Raises:
        MissingExtraError: the SDK is not installed.
        ChainError: the chain cannot be reached, or answers with something else.
    """
    connect = connect or _connect
    try:
        subtensor = connect(network)
        return to_snapshot(subtensor.metagraph(netuid=netuid, lite=True), network, datetime.now(UTC))
    except StreetVisionError:
        raise
    except Exception as error:  # the SDK lets whatever its transport raises come through
        raise _unreachable(network, netuid, error) from error


def to_snapshot(metagraph: Any, network: str, taken_at: datetime) -> Snapshot:
    """What the server needs of a `bittensor.Metagraph`.

    Args:
        metagraph: synced; its arrays may be numpy's or torch's.
        network: where it was read.
        taken_at: when, aware, UTC.

    Raises:
        ValueError: its columns have different lengths, or hold what is no number.
    """
    columns = (
        [int(uid) for uid in metagraph.uids],
        list(metagraph.hotkeys),
        [bool(permit) for permit in metagraph.validator_permit],
        [float(stake) for stake in metagraph.S],
        [float(share) for share in metagraph.I],
        [int(block) for block in metagraph.last_update],
        [_endpoint(axon) for axon in metagraph.axons],
    )
    return Snapshot(
        network=network,
        netuid=int(metagraph.netuid),
        block=int(metagraph.block.item()),
        taken_at=taken_at,
        owner_hotkey=str(getattr(metagraph, "owner_hotkey", "")),
        tempo=int(getattr(metagraph, "tempo", 360)),
        neurons=tuple(Neuron(*row) for row in zip(*columns, strict=True)),
    )


def publish_endpoint(
    network: str, netuid: int, hotkey_file: Path, ip: str, port: int, connect: Connect | None = None
) -> str:
    """Writes onto the chain where a registered hotkey serves ("serve axon"); signed with the hotkey alone.

    Args:
        network: `test`, `finney` or `local`.
        netuid: the subnet.
        hotkey_file: `…/NAME/hotkeys/HOTKEY` of a bittensor wallet. The SDK also reads NAME's public coldkey.
        ip: the address validators can reach.
        port: the port they can reach.
        connect: makes the connection; the SDK's own if None.

    Returns:
        What the chain said.

    Raises:
        MissingExtraError: the SDK is not installed.
        ChainError: no such hotkey, no public address, or the chain refuses.
    """
    _check_public(ip)
    address, name = read_address(hotkey_file), hotkey_file.parent.parent
    sdk = _sdk()
    from bittensor.core.extrinsics.serving import serve_extrinsic

    wallet = sdk.Wallet(name=name.name, hotkey=hotkey_file.name, path=str(name.parent))
    try:
        response = serve_extrinsic((connect or _connect)(network), wallet, ip, port, protocol=4, netuid=netuid)
    except Exception as error:
        raise _unreachable(network, netuid, error) from error
    if not response.success:
        raise ChainError(
            got=f"{network}/{netuid} refuses {ip}:{port} for {address}: {response.message}",
            allowed="a hotkey registered on the subnet, and not too many changes in a short time",
            action="look at the registration: btcli subnets metagraph",
        )
    return str(response.message or f"{address} serves at {ip}:{port}")


def _sdk() -> Any:
    try:
        import bittensor
    except ImportError as error:
        raise MissingExtraError("bittensor", "sn72") from error
    return bittensor


def _connect(network: str) -> Any:
    return _sdk().Subtensor(network=network)


def _endpoint(axon: Any) -> str:
    return f"{axon.ip}:{axon.port}" if axon.is_serving else ""


def _check_public(ip: str) -> None:
    try:
        good = ipaddress.ip_address(ip).is_global
    except ValueError:
        good = False
    if not good:
        raise ChainError(f"the address {ip!r}", "a public IP address", "name the one validators can reach")


def _unreachable(network: str, netuid: int, error: Exception) -> ChainError:
    return ChainError(
        got=f"{type(error).__name__} from {network}/{netuid}: {str(error)[:200]}",
        allowed="a chain that can be reached and knows the subnet",
        action="check the network and the netuid; a server with a snapshot goes on until it is too old",
    )
