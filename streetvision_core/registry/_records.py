"""An append-only file of hash-chained JSON lines: a torn last line is dropped, an edited or missing one is found.

The chain alone cannot miss its own end, so a second file, the head, holds how many lines there are and the hash of the
last one. It is written after each line; a kill between the two leaves a chain that is longer than its head, which is
right. A chain that is shorter has lost lines that were on disk.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import structlog

from streetvision_core.errors import RegistryError, StorageError
from streetvision_core.storage import atomic_write_json

FIRST_HASH: Final = "0" * 64
Records = list[dict[str, Any]]
_log = structlog.get_logger(__name__)


def canonical(value: Any) -> bytes:
    """The one JSON text of a value, for hashing: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def head_path(path: Path) -> Path:
    """Where the number of lines of a chain and the hash of its last one are kept."""
    return path.with_suffix(".head.json")


def read_records(path: Path) -> Records:
    """All whole lines, checked.

    A last line without its line feed is what a kill in the middle of a write leaves; it was never acknowledged, so it
    is skipped.

    Raises:
        RegistryError: a whole line that was edited, moved or removed, from the middle or from the end.
    """
    return _read_checked(path)[0]


def salvage_records(path: Path) -> Records:
    """The lines before the first one that is damaged; never raises."""
    try:
        data = path.read_bytes()
    except OSError:
        return []
    records: Records = []
    try:
        for record in _walk(path, data[: data.rfind(b"\n") + 1]):
            records.append(record)
    except RegistryError:
        pass
    return records


def append_record(path: Path, record: dict[str, Any]) -> dict[str, Any]:
    """Appends one line and returns it with `prev_hash` and `hash`; it is on disk when this returns.

    The caller holds the registry's lock.

    Raises:
        RegistryError: the file is not a whole chain.
        StorageError: the disk is full; the file then ends as before.
    """
    records, end = _read_checked(path)
    body = {**record, "prev_hash": records[-1]["hash"] if records else FIRST_HASH}
    line = {**body, "hash": _hash(body)}
    try:
        _write_line(path, end, canonical(line) + b"\n")
    except OSError as error:
        raise StorageError(
            got=f"{error.strerror or error} while appending to {path.name}",
            allowed="a writable folder with free space",
            action=f"free space or fix the rights of {path.parent}, then run again; the old champion still serves",
            path=str(path),
            errno=error.errno,
        ) from error
    _write_head(path, len(records) + 1, line["hash"])
    return line


def _write_head(path: Path, count: int, last_hash: str) -> None:
    try:
        atomic_write_json(head_path(path), {"count": count, "hash": last_hash})
    except (OSError, StorageError) as error:
        # The line is on disk and counts; the next one writes the head again.
        _log.warning("head of the promotions not written", error=str(error))


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


def _read_checked(path: Path) -> tuple[Records, int]:
    # The head first: a writer at work between the two reads makes the chain longer than this head, never shorter.
    head = _read_head(path)
    data = _read(path)
    end = data.rfind(b"\n") + 1
    records = list(_walk(path, data[:end]))
    if head is not None:
        _check_end(path, records, *head)
    return records, end


def _read_head(path: Path) -> tuple[int, str] | None:
    """Number of lines and hash of the last one; None for a chain written before there were heads."""
    try:
        head = json.loads(head_path(path).read_bytes())
        return int(head["count"]), str(head["hash"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        # What the head guards against is a cut chain; a damaged head alone must not stop the registry.
        _log.warning("head of the promotions cannot be read", error=f"{type(error).__name__}: {error}")
        return None


def _check_end(path: Path, records: Records, count: int, last_hash: str) -> None:
    if len(records) >= count and (count == 0 or records[count - 1]["hash"] == last_hash):
        return
    raise RegistryError(
        got=f"{len(records)} lines in {path.name}, where {count} were written: its end was cut off",
        allowed=f"a chain that goes on to the line with the hash {last_hash[:12]}",
        action=f"bring {path} and {head_path(path).name} back from one backup; the versions themselves are untouched",
        path=str(path),
        line=len(records),
    )


def _walk(path: Path, data: bytes) -> Iterator[dict[str, Any]]:
    previous = FIRST_HASH
    for number, line in enumerate(data.splitlines(), start=1):
        record = _checked(path, number, line, previous)
        yield record
        previous = record["hash"]


def _checked(path: Path, number: int, line: bytes, previous: str) -> dict[str, Any]:
    try:
        record: dict[str, Any] = json.loads(line)
        body = {key: value for key, value in record.items() if key != "hash"}
        whole = record["prev_hash"] == previous and record["hash"] == _hash(body)
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
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
