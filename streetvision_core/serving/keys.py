"""API keys: a file of hashes, made by `streetvision keys`, read anew when it changes.

A key is 256 random bits, so one round of SHA-256 is enough to store it: there is nothing to guess. A short public id in
front of the secret finds the entry, and the secret is compared in constant time.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import math
import re
import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import structlog
from filelock import FileLock

from streetvision_core.errors import KeyFileError
from streetvision_core.settings import Settings
from streetvision_core.storage import atomic_write_json

FILE: Final = "keys.json"
_KEY: Final = re.compile(r"sv_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")
_NO_SECRET: Final = hashlib.sha256(b"").hexdigest()
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One key, without its secret.

    Attributes:
        name: who has it; the label of its metrics.
        id: the public part of the key.
        sha256: hex digest of the secret part.
        created: ISO time, UTC.
        requests_per_second: its own limit; None takes `serving.key_requests_per_second`.
        revoked: ISO time, UTC, from which it is refused.
    """

    name: str
    id: str
    sha256: str
    created: str
    requests_per_second: float | None = None
    revoked: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form for people; the digest is left out."""
        return {name: value for name, value in asdict(self).items() if name != "sha256"}


class KeyFile:
    """The keys of a workspace; damage to the file while we run leaves the last readable keys in force.

    Args:
        path: the file; absent means no keys.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stamp: tuple[int, int] | None = None
        self._keys: dict[str, ApiKey] = {}

    def list(self) -> tuple[ApiKey, ...]:
        """Every key ever made, revoked ones too, oldest first.

        Raises:
            KeyFileError: the file cannot be read.
        """
        return tuple(self._current().values())

    def add(self, name: str, requests_per_second: float | None = None) -> str:
        """Makes a key and returns it; it is shown this once and stored as a digest only.

        Raises:
            KeyFileError: the name is taken or cannot be used.
        """
        if not _NAME.fullmatch(name):
            raise KeyFileError(f"the name {name[:60]!r}", "letters, digits, . _ -, at most 40", "choose such a name")
        if requests_per_second is not None and not (0 < requests_per_second < math.inf):
            raise KeyFileError(f"{requests_per_second} requests a second", "a rate above 0", "mend --rate")
        secret, key_id = secrets.token_urlsafe(32), secrets.token_hex(6)
        key = ApiKey(name, key_id, _digest(secret), _now(), requests_per_second)

        def append(keys: tuple[ApiKey, ...]) -> tuple[ApiKey, ...]:
            if any(k.name == name and not k.revoked for k in keys):
                raise KeyFileError(f"a second key named {name!r}", "one key a name", "revoke the old one first")
            return (*keys, key)

        self._change(append)
        return f"sv_{key_id}_{secret}"

    def revoke(self, name: str) -> None:
        """Refuses a key from now on; a running gateway notices with the next request.

        Raises:
            KeyFileError: there is no such key.
        """

        def mark(keys: tuple[ApiKey, ...]) -> tuple[ApiKey, ...]:
            if not any(k.name == name and not k.revoked for k in keys):
                valid = ", ".join(k.name for k in keys if not k.revoked) or "none"
                raise KeyFileError(f"no valid key named {name!r}", f"one of: {valid}", "name one of them")
            return tuple(replace(k, revoked=_now()) if k.name == name and not k.revoked else k for k in keys)

        self._change(mark)

    def find(self, text: str) -> ApiKey | None:
        """The valid key that a caller shows, or None."""
        match = _KEY.fullmatch(text)
        key = self._current().get(match[1]) if match else None
        same = hmac.compare_digest(_digest(match[2] if match else ""), key.sha256 if key else _NO_SECRET)
        return key if key is not None and same and not key.revoked else None

    def _current(self) -> dict[str, ApiKey]:
        try:
            status = self.path.stat()
        except FileNotFoundError:
            self._stamp, self._keys = None, {}
            return self._keys
        stamp = (status.st_mtime_ns, status.st_ino)
        if stamp != self._stamp:
            try:
                self._keys = {key.id: key for key in self._read()}
            except KeyFileError as error:
                if self._stamp is None:
                    raise
                _log.error("keys unreadable; the last ones stay in force", path=str(self.path), error=error.got)
            self._stamp = stamp
        return self._keys

    def _read(self) -> tuple[ApiKey, ...]:
        try:
            return tuple(ApiKey(**entry) for entry in json.loads(self.path.read_text())["keys"])
        except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
            raise KeyFileError(
                got=f"{type(error).__name__} in {self.path}",
                allowed="a file made by `streetvision keys`",
                action="restore it, or move it away and make new keys",
                path=str(self.path),
            ) from error

    def _change(self, change: Callable[[tuple[ApiKey, ...]], tuple[ApiKey, ...]]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self.path.with_suffix(".lock")):
            keys = change(self._read() if self.path.exists() else ())
            atomic_write_json(self.path, {"keys": [asdict(key) for key in keys]})
            self.path.chmod(0o600)


def open_keys(settings: Settings) -> KeyFile:
    """The workspace's keys."""
    return KeyFile(settings.paths.resolve("data") / FILE)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
