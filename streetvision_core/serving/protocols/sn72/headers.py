"""The headers of a query and of an answer, and the text that is signed.

Source: `Synapse.to_headers`, `Dendrite.preprocess_synapse_for_request` and `Axon.default_verify` of bittensor 9.12.2
and 10.5.0, which agree. Everything is bounded before it is looked at, and the signed text can be read in one way only:
no field of it may hold the full stop that joins them.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from streetvision_core.errors import QueryRefusedError
from streetvision_core.serving.protocols.sn72.refusals import refused
from streetvision_core.settings import Sn72Settings

SENDER: Final = "bt_header_dendrite_"
RECEIVER: Final = "bt_header_axon_"
EMPTY_HASH: Final = hashlib.sha3_256(b"").hexdigest()
"""The body hash of a synapse class without `required_hash_fields`, which the subnet's public class is."""

MIN_VERSION: Final = 7_002_000
"""bittensor 7.2.0: since then the nonce is a time; the public axon does not look at the time of older ones."""
MAX_VERSION: Final = 2**31 - 1
_MAX_VALUE: Final = 256
_NUMBER: Final = re.compile(r"[0-9]{1,19}")
_DECIMAL: Final = re.compile(r"[0-9]{1,9}(\.[0-9]{1,20})?")
_HOTKEY: Final = re.compile(r"[1-9A-HJ-NP-Za-km-z]{48}")
_UUID: Final = re.compile(r"[0-9A-Za-z-]{1,64}")
_SIGNATURE: Final = re.compile(r"0x[0-9a-fA-F]{128}")
_HASH: Final = re.compile(r"[0-9a-f]{64}")
_WANTED: Final = frozenset(
    {f"{SENDER}{name}".encode() for name in ("version", "nonce", "uuid", "hotkey", "signature", "ip")}
    | {f"{RECEIVER}{name}".encode() for name in ("hotkey", "ip", "port")}
    | {b"name", b"timeout", b"computed_body_hash"}
)


@dataclass(frozen=True, slots=True)
class Signed:
    """What a caller signed, and what it says beside.

    Attributes:
        sender: ss58 address of the caller's hotkey; well-formed, its checksum not yet looked at.
        receiver: ss58 address of the hotkey it wants to ask.
        nonce: nanoseconds since 1970 by the caller's clock.
        uuid: of the caller's process.
        signature: 64 bytes.
        body_hash: 64 hex digits.
        timeout_seconds: how long it waits; above 0.
        version: of its bittensor, 10.5.0 being 10005000.
        echo: headers that go back as they came.
    """

    sender: str
    receiver: str
    nonce: int
    uuid: str
    signature: bytes
    body_hash: str
    timeout_seconds: float
    version: int
    echo: tuple[tuple[bytes, bytes], ...]

    def text(self) -> bytes:
        """What must have been signed."""
        return signing_text(self.nonce, self.sender, self.receiver, self.uuid, self.body_hash)


def signing_text(nonce: int, sender: str, receiver: str, uuid: str, body_hash: str) -> bytes:
    """The text a dendrite signs.

    Example:
        >>> signing_text(1, "5A", "5B", "u", "h")
        b'1.5A.5B.u.h'
    """
    return f"{nonce}.{sender}.{receiver}.{uuid}.{body_hash}".encode()


def parse_headers(raw: Iterable[tuple[bytes, bytes]], settings: Sn72Settings) -> Signed:
    """Reads the headers of a query.

    Args:
        raw: names in small letters and values, as ASGI gives them.
        settings: bounds on version and timeout.

    Raises:
        QueryRefusedError: unsigned, malformed, twice the same header, or a version or timeout out of bounds.
    """
    found: dict[bytes, bytes] = {}
    for name, value in raw:
        if name in _WANTED:
            if name in found or len(value) > _MAX_VALUE:
                raise _malformed(name.decode(), "twice" if name in found else f"with {len(value)} bytes")
            found[name] = value
    if f"{SENDER}signature".encode() not in found or f"{SENDER}nonce".encode() not in found:
        raise refused("unsigned", "a query without signature or nonce", "signed queries")
    values = _Values(found)
    return Signed(
        sender=values.get(f"{SENDER}hotkey", _HOTKEY),
        receiver=values.get(f"{RECEIVER}hotkey", _HOTKEY),
        nonce=int(values.get(f"{SENDER}nonce", _NUMBER)),
        uuid=values.get(f"{SENDER}uuid", _UUID),
        signature=bytes.fromhex(values.get(f"{SENDER}signature", _SIGNATURE)[2:]),
        body_hash=values.get("computed_body_hash", _HASH),
        timeout_seconds=_timeout(values.get("timeout", _DECIMAL), settings),
        version=_version(values.get(f"{SENDER}version", _NUMBER)),
        echo=tuple(sorted(found.items())),
    )


class _Values:
    def __init__(self, found: dict[bytes, bytes]) -> None:
        self._found = found

    def get(self, name: str, form: re.Pattern[str]) -> str:
        text = self._found.get(name.encode(), b"").decode("latin-1")
        if form.fullmatch(text) is None:
            raise _malformed(name, f"as {text[:40]!r}")
        return text


def _timeout(text: str, settings: Sn72Settings) -> float:
    seconds = float(text)
    if not (math.isfinite(seconds) and 0 < seconds <= settings.max_timeout_seconds):
        raise refused("timeout", f"a timeout of {text} s", f"above 0, at most {settings.max_timeout_seconds:g} s")
    return seconds


def _version(text: str) -> int:
    version = int(text)
    if not MIN_VERSION <= version <= MAX_VERSION:
        raise refused("version", f"bittensor version {version}", f"{MIN_VERSION} to {MAX_VERSION}")
    return version


def _malformed(name: str, how: str) -> QueryRefusedError:
    return refused("headers", f"the header {name} {how}", "each header once, in the form a dendrite gives it")


def answer_headers(signed: Signed, status: int, message: str, seconds: float) -> list[tuple[bytes, bytes]]:
    """The headers a dendrite merges into its synapse: what it sent, and how it went.

    A public axon also signs its answer; nobody reads that signature and it covers no answer, so it is left out, and the
    server needs no private key.
    """
    said = (
        (f"{RECEIVER}status_code", str(status)),
        (f"{RECEIVER}status_message", message),
        (f"{RECEIVER}process_time", f"{seconds:.6f}"),
    )
    return [*signed.echo, *((name.encode(), value.encode()) for name, value in said)]
