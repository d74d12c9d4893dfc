"""Hotkeys: ss58 addresses, sr25519 signatures, and the files in which bittensor wallets keep them.

sr25519 is `py-sr25519-bindings`, Rust's schnorrkel without dependencies; ss58 is base58 with a checksum.

Example:
    >>> alice = KeyPair.from_seed(bytes.fromhex("e5be9a5092b81bca64be81d212e7f2f9eba183bb7a90954f7b76361f6edb5c0a"))
    >>> alice.address
    '5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY'
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import sr25519

from streetvision_core.errors import ChainError

SIGNATURE_BYTES: Final = 64
_ALPHABET: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_VALUES: Final = {letter: value for value, letter in enumerate(_ALPHABET)}
_FORMAT: Final = 42
"""The generic Substrate network, which bittensor uses."""
_KEY_BYTES: Final = 32
_IDENTITY: Final = bytes(_KEY_BYTES)
"""The neutral point: as a public key it belongs to everybody, since signatures for it need no secret."""
_ADDRESS_LETTERS: Final = 48
_MAX_FILE_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A key that can sign.

    Attributes:
        public: 32 bytes.
        secret: 64 bytes; never shown.
    """

    public: bytes
    secret: bytes = field(repr=False)

    @classmethod
    def from_seed(cls, seed: bytes) -> KeyPair:
        """The key of a 32-byte seed."""
        return cls(*sr25519.pair_from_seed(seed))

    @property
    def address(self) -> str:
        """The ss58 address."""
        return encode_address(self.public)

    def sign(self, message: bytes) -> bytes:
        """64 bytes."""
        signature: bytes = sr25519.sign((self.public, self.secret), message)
        return signature


def verify(signature: bytes, message: bytes, public: bytes) -> bool:
    """Whether the signature was made for this message with this key; False for whatever is no signature or no key."""
    if public == _IDENTITY:
        return False
    try:
        return bool(sr25519.verify(signature, message, public))
    except ValueError:
        return False


def encode_address(public: bytes) -> str:
    """The ss58 address of a 32-byte public key."""
    payload = bytes([_FORMAT]) + public
    number, letters = int.from_bytes(payload + _checksum(payload), "big"), ""
    while number:
        number, rest = divmod(number, len(_ALPHABET))
        letters = _ALPHABET[rest] + letters
    return letters


@lru_cache(maxsize=4096)
def decode_address(address: str) -> bytes:
    """The 32-byte public key of an ss58 address.

    Raises:
        ChainError: not an address, of another network, or with a wrong checksum.
    """
    data = b""
    if len(address) == _ADDRESS_LETTERS and all(letter in _VALUES for letter in address):
        number = 0
        for letter in address:
            number = number * len(_ALPHABET) + _VALUES[letter]
        data = number.to_bytes(36, "big")
    payload = data[1:34]
    if not data or data[0] or payload[0] != _FORMAT or _checksum(payload) != data[34:]:
        raise ChainError(
            got=f"the hotkey {address[:60]!r}",
            allowed=f"an ss58 address of network {_FORMAT}: {_ADDRESS_LETTERS} letters, beginning with 5",
            action="copy the address whole, e.g. from `btcli wallet list`",
        )
    return payload[1:]


def read_address(path: Path) -> str:
    """The address in a hotkey file of a bittensor wallet, or in the `…pub.txt` beside an encrypted one.

    Only public fields are looked at. Nothing outside a `hotkeys` folder or our own is ever opened as a key.

    Raises:
        ChainError: missing, encrypted without a `…pub.txt`, a coldkey, or no hotkey file.
    """
    public = path.with_name(f"{path.name}pub.txt")
    fields = _read(public if public.is_file() else path)
    address = str(fields.get("ss58Address", ""))
    if decode_address(address) != _bytes(fields, "publicKey", path):
        raise _bad(path, "an address that is not that of its public key")
    return address


def load_key(path: Path) -> KeyPair:
    """The key in a hotkey file, to sign with; see `read_address`.

    Raises:
        ChainError: as there, or the file holds no seed.
    """
    fields = _read(path)
    pair = KeyPair.from_seed(_bytes(fields, "secretSeed", path))
    if pair.address != fields.get("ss58Address"):
        raise _bad(path, "a seed that is not that of its address")
    return pair


def load_or_make_key(path: Path) -> KeyPair:
    """A workspace's throw-away key, made on first use in the format of a hotkey file; only its owner can read it."""
    if path.exists():
        return load_key(path)
    seed = os.urandom(_KEY_BYTES)
    pair = KeyPair.from_seed(seed)
    public = f"0x{pair.public.hex()}"
    fields = {
        "accountId": public,
        "publicKey": public,
        "privateKey": f"0x{pair.secret.hex()}",
        "secretSeed": f"0x{seed.hex()}",
        "ss58Address": pair.address,
        "cryptoType": 1,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:  # another process was quicker
        return load_key(path)
    with os.fdopen(handle, "w") as file:
        json.dump(fields, file)
    return pair


def _read(path: Path) -> dict[str, Any]:
    if "coldkey" in path.name.lower():
        raise _bad(path, "a coldkey, which nothing here may open")
    try:
        with path.open("rb") as file:
            fields = json.loads(file.read(_MAX_FILE_BYTES))
    except (OSError, ValueError) as error:
        raise _bad(path, f"a file that is missing, encrypted or no JSON ({type(error).__name__})") from error
    if not isinstance(fields, dict):
        raise _bad(path, "JSON that is no key")
    return fields


def _bytes(fields: dict[str, Any], name: str, path: Path) -> bytes:
    try:
        data = bytes.fromhex(str(fields[name]).removeprefix("0x"))
    except (KeyError, ValueError):
        data = b""
    if len(data) != _KEY_BYTES:
        raise _bad(path, f"a key file without a sound {name!r}")
    return data


def _bad(path: Path, got: str) -> ChainError:
    return ChainError(
        got=f"{path}: {got}",
        allowed="a hotkey file of a bittensor wallet, e.g. ~/.bittensor/wallets/NAME/hotkeys/HOTKEY, not encrypted, "
        "or with its HOTKEYpub.txt beside it",
        action="name the hotkey's file, or give its address with --hotkey",
        path=str(path),
    )


def _checksum(payload: bytes) -> bytes:
    return hashlib.blake2b(b"SS58PRE" + payload).digest()[:2]
