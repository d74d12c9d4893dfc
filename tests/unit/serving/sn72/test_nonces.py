import sqlite3
import subprocess
import sys
import time

import pytest

from streetvision_core.errors import QueryRefusedError, StorageError
from streetvision_core.serving.protocols.sn72 import nonces as module
from streetvision_core.serving.protocols.sn72.nonces import SECOND, Nonces


def open_nonces(path, limit=1000, past=13.0, future=4.0):
    return Nonces(path / "nonces.sqlite", past, future, limit)


def reason(call, *args):
    try:
        call(*args)
    except QueryRefusedError as error:
        return error.data["reason"]
    return "taken"


@pytest.mark.parametrize(
    ("age_seconds", "expected"),
    [(0, "taken"), (12, "taken"), (14, "nonce-old"), (1e9, "nonce-old"), (-3, "taken"), (-5, "nonce-future")],
)
def test_check__the_window_has_two_ends(tmp_path, age_seconds, expected):
    assert reason(open_nonces(tmp_path).check, time.time_ns() - int(age_seconds * SECOND)) == expected


def test_take__once_per_receiver_and_sender_in_any_order(tmp_path):
    table, now = open_nonces(tmp_path), time.time_ns()
    for sender, nonce in (("a", now), ("a", now - 1), ("b", now)):  # out of order, as parallel queries arrive
        table.take("r", sender, nonce)
    assert reason(table.take, "r", "a", now) == "nonce-replayed"
    assert reason(table.take, "other", "a", now) == "taken"


def test_take__is_remembered_by_the_next_process_even_after_a_kill(tmp_path):
    nonce = time.time_ns()
    code = (
        "import os, signal\nfrom pathlib import Path\n"
        "from streetvision_core.serving.protocols.sn72.nonces import Nonces\n"
        f"Nonces(Path({str(tmp_path)!r}) / 'nonces.sqlite', 13, 4, 10).take('r', 's', {nonce})\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    assert reason(open_nonces(tmp_path).take, "r", "s", nonce) == "nonce-replayed"


def test_take__two_processes_of_one_hotkey_share_the_table(tmp_path):
    one, two, now = open_nonces(tmp_path), open_nonces(tmp_path), time.time_ns()
    one.take("r", "s", now)
    assert reason(two.take, "r", "s", now) == "nonce-replayed"


def test_take__a_full_table_forgets_the_expired_only(tmp_path, monkeypatch):
    table, now = open_nonces(tmp_path, limit=3), time.time_ns()
    old = now - 20 * SECOND  # outside the window, but kept in case the clock is set back
    for nonce in (old, now - 2, now - 1):
        table.take("r", "s", nonce)
    assert reason(table.take, "r", "s", now - 2) == "nonce-replayed"
    table.take("r", "s", now)  # the old one makes room
    assert reason(table.take, "r", "s", now + 1) == "nonce-store"
    assert reason(table.take, "r", "s", now - 1) in ("nonce-replayed", "nonce-store")
    monkeypatch.setattr(module.time, "time_ns", lambda: now + 30 * SECOND)
    assert reason(table.take, "r", "s", now + 30 * SECOND) == "taken"


def test_open__a_damaged_table_is_set_aside_and_nothing_signed_before_is_taken(tmp_path):
    (tmp_path / "nonces.sqlite").write_bytes(b"no database at all" * 100)
    table = open_nonces(tmp_path)
    assert (tmp_path / "nonces.broken").is_file()
    assert reason(table.check, time.time_ns()) == "nonce-old"
    assert reason(table.check, time.time_ns() + 3 * SECOND) == "nonce-old"


def test_open__a_folder_that_is_none_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="a writable folder"):
        open_nonces(tmp_path / "file")
    (tmp_path / "nonces.sqlite").mkdir()
    with pytest.raises(StorageError):
        open_nonces(tmp_path)


def test_take__what_cannot_be_remembered_is_refused(tmp_path):
    table = open_nonces(tmp_path)
    with sqlite3.connect(tmp_path / "nonces.sqlite") as other:
        other.execute("DROP TABLE nonces")
    other.close()
    assert reason(table.take, "r", "s", time.time_ns()) == "nonce-store"
