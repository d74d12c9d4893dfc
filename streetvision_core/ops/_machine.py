"""Checks of the machine: Python, disk, memory, processor, GPU, ports, servers."""

from __future__ import annotations

import errno
import platform
import shutil
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

from streetvision_core.errors import install_command
from streetvision_core.ops._check import GIB, Check, graded
from streetvision_core.settings import Settings

TRIED_PYTHON: Final = (3, 11)
PORTS: Final = {8080: "HTTP server", 8888: "JupyterLab", 5151: "FiftyOne App", 9101: "metrics"}
SERVERS: Final = ("nginx", "prometheus", "prometheus-alertmanager", "redis-server", "ffmpeg", "node")
_CGROUP_LIMITS: Final = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def python(settings: Settings) -> Check:
    """The interpreter's version; the pins of constraints.txt were tried on one."""
    found = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    if sys.version_info[:2] != TRIED_PYTHON:
        return Check("python", "warn", found, "if packages do not install, make the environment with Python 3.11")
    return Check("python", "ok", found)


def disk(settings: Settings) -> Check:
    """Free space where data are written."""
    folder = nearest(settings.paths.resolve("data"))
    free = shutil.disk_usage(folder).free / GIB
    action = f"free space on the disk of {folder}: a day of the loop writes some 100 MB, the registry more with time"
    return graded("disk", free, 1, 5, f"{free:.1f} GiB free at {folder}", action)


def memory(settings: Settings) -> Check:
    """Memory that this process may use: what is available, or the container's limit."""
    import psutil

    available = psutil.virtual_memory().available / GIB
    limits = [int(text) / GIB for text in map(_read, _CGROUP_LIMITS) if text.isdigit()]
    usable = min([available, *limits])
    found = f"{usable:.1f} GiB usable"
    return graded("memory", usable, 1.5, 4, found, "close other programs or raise the container's limit to 4 GiB")


def gpu(settings: Settings) -> Check:
    """NVIDIA GPUs; none is needed on the embedded profile."""
    names = _gpu_names()
    if names:
        return Check("gpu", "ok", ", ".join(names))
    if settings.profile == "embedded":
        return Check("gpu", "ok", "none; the profile embedded needs none")
    return Check(
        "gpu",
        "warn",
        f"none, or no driver; the profile {settings.profile} is made for a 24 GB card",
        f"install the NVIDIA driver, and run: {install_command('ops')}; or set SV_PROFILE=embedded",
    )


def ports(settings: Settings) -> Check:
    """Ports that our servers listen on."""
    taken = [f"{port} ({use})" for port, use in PORTS.items() if not is_free(port)]
    if not taken:
        return Check("ports", "ok", f"{', '.join(map(str, PORTS))} free")
    return Check("ports", "warn", f"taken: {', '.join(taken)}", "end what listens there, or start ours on another port")


def servers(settings: Settings) -> Check:
    """Servers of the distribution that deployments use; none is needed to run the loop."""
    there = [name for name in SERVERS if shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")]
    absent = [name for name in SERVERS if name not in there]
    found = f"found: {', '.join(there) or 'none'}"
    return Check("servers", "ok", found + (f"; not found, not needed here: {', '.join(absent)}" if absent else ""))


def nearest(folder: Path) -> Path:
    """The folder, or the closest one above it that exists."""
    return next(p for p in (folder, *folder.parents) if p.is_dir())


def is_free(port: int) -> bool:
    """Whether a port on this machine can be listened on."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            return error.errno != errno.EADDRINUSE
    return True


def _gpu_names() -> list[str]:
    with suppress(Exception):  # no package, no driver, no card: each with an exception of its own
        import pynvml  # type: ignore[import-untyped]

        pynvml.nvmlInit()
        handles = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]
        sizes = [pynvml.nvmlDeviceGetMemoryInfo(handle).total / GIB for handle in handles]
        names = [str(pynvml.nvmlDeviceGetName(handle)) for handle in handles]
        return [f"{name}, {size:.0f} GiB" for name, size in zip(names, sizes, strict=True)]
    return []


def _read(path: str) -> str:
    with suppress(OSError):
        return Path(path).read_text().strip()
    return ""
