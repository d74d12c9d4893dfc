"""Sockets that servers listen on: taken before a model is loaded, never another's, named as an address that works."""

from __future__ import annotations

import errno
import ipaddress
import resource
import socket
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from streetvision_core.errors import ServingError
from streetvision_core.serving._line import address_parts

BACKLOG: Final = 1024
"""Connections that the kernel holds until we take them."""
_PROBE_SECONDS: Final = 1.0


def listen(host: str, port: int) -> socket.socket:
    """A listening socket, so that the port is known, and refused, before a model is loaded.

    Raises:
        ServingError: the address is not this machine's, or somebody listens there already.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except (OSError, OverflowError) as error:
        taken = getattr(error, "errno", None) == errno.EADDRINUSE
        why = f"on which {_holder(port)} listens" if taken else f"which cannot be listened on ({error})"
        raise ServingError(
            got=f"{in_brackets(host)}:{port}, {why}",
            allowed="a free port of an address of this machine",
            action="choose another --port (0 takes a free one), or end the server that uses it",
            host=host,
            port=port,
        ) from error


def listen_at(address: str) -> socket.socket:
    """A listening socket for gateways, at `unix:/path` or `http://host:port`.

    Raises:
        ServingError: the path or port cannot be listened on, or is another's.
    """
    path, host, port = address_parts(address)
    return listen(host, port) if path is None else _listen_on_path(Path(path))


def url_of(listener: socket.socket) -> str:
    """The address that a caller on this machine can use."""
    address, port = listener.getsockname()[:2]
    ip = ipaddress.ip_address(address.split("%")[0])
    if ip.is_unspecified:
        address = "127.0.0.1" if ip.version == 4 else "::1"
    return f"http://{in_brackets(address)}:{port}/"


def in_brackets(host: str) -> str:
    """A host as it stands in a URL: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def _listen_on_path(path: Path) -> socket.socket:
    _clear_socket(path)
    try:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen(BACKLOG)
        return listener
    except OSError as error:
        raise _cannot(path, f"which cannot be listened on ({error})") from error


def _clear_socket(path: Path) -> None:
    """Removes a socket that nobody listens on any more, and nothing else.

    Raises:
        ServingError: somebody listens on it, or it is no socket.
    """
    try:
        kind = path.lstat().st_mode
    except OSError:  # absent, or not to be looked at, which binding names
        return
    if not stat.S_ISSOCK(kind):
        raise ServingError(
            got=f"{path}, which is no socket and stays as it is",
            allowed="a path where nothing lies, or a socket that nobody listens on",
            action="name another path: streetvision serve --role model --listen unix:/path/to/socket",
            path=str(path),
        )
    with socket.socket(socket.AF_UNIX) as caller:
        caller.settimeout(_PROBE_SECONDS)
        try:
            caller.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            path.unlink(missing_ok=True)
            return
        except OSError:
            pass  # full, slow or not ours: there is somebody
    raise ServingError(
        got=f"{path}, which another server listens on",
        allowed="a socket of its own for each model server",
        action="end that server, or name another path: streetvision serve --role model --listen unix:/path/to/socket",
        path=str(path),
    )


def _cannot(path: Path, why: str) -> ServingError:
    return ServingError(
        got=f"{path}, {why}",
        allowed="a path of at most 107 bytes that nobody uses, in a folder that can be written",
        action="choose another --listen, or end the server that uses it",
        path=str(path),
    )


def _holder(port: int) -> str:
    """Who listens on a port, as far as this user may see."""
    import psutil

    with suppress(psutil.Error, OSError):
        for line in psutil.net_connections("tcp"):
            if line.status == psutil.CONN_LISTEN and line.laddr.port == port and line.pid is not None:
                return f"{psutil.Process(line.pid).name()} (process {line.pid}) already"
    return "another program already"


def allow_open_files(wanted: int) -> int:
    """Raises this process's limit of open files to `wanted`, as far as the system lets it; returns what holds.

    An ordinary user's processes begin with 1,024, fewer than `serving.max_connections` and the log need: a crowd of
    silent callers would then keep the server from accepting anybody before its own bound closes the idlest.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return soft
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return most
