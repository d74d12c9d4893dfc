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
_HOTKEY: Final = rb"[1-9A-HJ-NP-Za-km-z]{48}"
_NUMBER: Final = rb"[0-9]{1,19}"
_VERSION, _NONCE, _UUID, _SENDER, _SIGNATURE = (
    f"{SENDER}{name}".encode() for name in ("version", "nonce", "uuid", "hotkey", "signature")
)
_RECEIVER: Final = f"{RECEIVER}hotkey".encode()
_TIMEOUT: Final = b"timeout"
_BODY_HASH: Final = b"computed_body_hash"
_FORMS: Final = {
    name: re.compile(form)
    for name, form in {
        _SENDER: _HOTKEY,
        _RECEIVER: _HOTKEY,
        _NONCE: _NUMBER,
        _UUID: rb"[0-9A-Za-z-]{1,64}",
        _SIGNATURE: rb"0x[0-9a-fA-F]{128}",
        _BODY_HASH: rb"[0-9a-f]{64}",
        _TIMEOUT: rb"[0-9]{1,9}(\.[0-9]{1,20})?",
        _VERSION: _NUMBER,
    }.items()
}
"""The form of each header that must be there."""
_ECHOED: Final = frozenset(_FORMS) | {
    f"{SENDER}ip".encode(),
    f"{RECEIVER}ip".encode(),
    f"{RECEIVER}port".encode(),
    b"name",
}


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
        if name in _ECHOED:
            if name in found or len(value) > _MAX_VALUE:
                raise _malformed(name, "twice" if name in found else f"with {len(value)} bytes")
            found[name] = value
    if _SIGNATURE not in found or _NONCE not in found:
        raise refused("unsigned", "a query without signature or nonce", "signed queries")
    for name, form in _FORMS.items():
        if form.fullmatch(found.get(name, b"")) is None:
            raise _malformed(name, f"as {found.get(name, b'')[:40]!r}")
    return Signed(
        sender=found[_SENDER].decode(),
        receiver=found[_RECEIVER].decode(),
        nonce=int(found[_NONCE]),
        uuid=found[_UUID].decode(),
        signature=bytes.fromhex(found[_SIGNATURE][2:].decode()),
        body_hash=found[_BODY_HASH].decode(),
        timeout_seconds=_timeout(found[_TIMEOUT].decode(), settings),
        version=_version(int(found[_VERSION])),
        echo=tuple(found.items()),
    )


def _timeout(text: str, settings: Sn72Settings) -> float:
    seconds = float(text)
    if not (math.isfinite(seconds) and 0 < seconds <= settings.max_timeout_seconds):
        raise refused("timeout", f"a timeout of {text} s", f"above 0, at most {settings.max_timeout_seconds:g} s")
    return seconds


def _version(version: int) -> int:
    if not MIN_VERSION <= version <= MAX_VERSION:
        raise refused("version", f"bittensor version {version}", f"{MIN_VERSION} to {MAX_VERSION}")
    return version


def _malformed(name: bytes, how: str) -> QueryRefusedError:
    return refused("headers", f"the header {name.decode()} {how}", "each header once, in the form a dendrite gives it")


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
