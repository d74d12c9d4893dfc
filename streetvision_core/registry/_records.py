"""An append-only file of hash-chained JSON lines: a torn last line is mended, an edited one is found."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any, Final

from streetvision_core.errors import RegistryError, StorageError

FIRST_HASH: Final = "0" * 64


def canonical(value: Any) -> bytes:
    """The one JSON text of a value, for hashing: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def read_records(path: Path) -> list[dict[str, Any]]:
    """All whole lines, checked.

    A last line without its line feed is what a kill in the middle of a write leaves; it was never acknowledged, so it
    is passed over.

    Raises:
        RegistryError: a whole line that was edited, moved or removed from the middle.
    """
    return _parse(path, _read(path))[0]


def append_record(path: Path, record: dict[str, Any]) -> dict[str, Any]:
    """Appends one line and returns it with `prev_hash` and `hash`; it is on disk when this returns.

    The caller holds the registry's lock.

    Raises:
        RegistryError: the file is not a whole chain.
        StorageError: the disk is full; the file then ends as before.
    """
    records, end = _parse(path, _read(path))
    body = {**record, "prev_hash": records[-1]["hash"] if records else FIRST_HASH}
    line = {**body, "hash": _hash(body)}
    try:
        _write_line(path, end, canonical(line) + b"\n")
    except OSError as error:
        raise StorageError(
            got=f"{error.strerror or error} while appending to {path.name}",
            allowed="a writable folder with free space",
            action=f"free space or mend the rights of {path.parent}, then run again; the old champion still serves",
            path=str(path),
            errno=error.errno,
        ) from error
    return line


def _write_line(path: Path, end: int, line: bytes) -> None:
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        if os.fstat(handle).st_size != end:
            os.ftruncate(handle, end)
            os.fsync(handle)
        try:
            written = 0
            while written < len(line):
                written += os.write(handle, line[written:])
            os.fsync(handle)
        except OSError:
            os.ftruncate(handle, end)
            raise
    finally:
        os.close(handle)
    if end == 0:
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Makes new and renamed entries of a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def _parse(path: Path, data: bytes) -> tuple[list[dict[str, Any]], int]:
    end = data.rfind(b"\n") + 1
    records: list[dict[str, Any]] = []
    previous = FIRST_HASH
    for number, line in enumerate(data[:end].splitlines(), start=1):
        record = _checked(path, number, line, previous)
        records.append(record)
        previous = record["hash"]
    return records, end


def _checked(path: Path, number: int, line: bytes, previous: str) -> dict[str, Any]:
    try:
        record: dict[str, Any] = json.loads(line)
        body = {key: value for key, value in record.items() if key != "hash"}
        whole = record["prev_hash"] == previous and record["hash"] == _hash(body)
    except (ValueError, KeyError, AttributeError, TypeError):
        whole = False
    if not whole:
        raise RegistryError(
            got=f"line {number} of {path.name}, which was edited, moved, or follows a removed line",
            allowed="lines as they were written, each holding the hash of the one before",
            action=f"bring {path} back from a backup; the versions themselves are untouched",
            path=str(path),
            line=number,
        )
    return record


def _hash(body: dict[str, Any]) -> str:
    return hashlib.sha256(canonical(body)).hexdigest()
