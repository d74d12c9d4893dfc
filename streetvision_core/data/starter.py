"""The starter pack: features of real street photos, so that the first head needs no download and no photo.

Example:
    >>> pack = load_starter()                                  # doctest: +SKIP
    >>> pack.table.in_split(Split.TRAIN).sum()                 # doctest: +SKIP
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from streetvision_core.data.table import FeatureTable
from streetvision_core.errors import DataError, ManifestError
from streetvision_core.settings import load_settings
from streetvision_core.storage import file_sha256

TABLE_FILE: Final = "starter.npz"
COMPOSED_FILE: Final = "composed.npz"
MANIFEST_FILE: Final = "manifest.json"
BUILD_COMMAND: Final = "python -m streetvision_core.data.build_starter --streets PATH --out data/starter"
_REPOSITORY_PACK: Final = Path(__file__).resolve().parents[2] / "data" / "starter"


@dataclass(frozen=True, slots=True, eq=False)
class StarterPack:
    """The shipped table and what is known about it.

    Attributes:
        table: features, labels, groups, origins, eras, levels, splits and evidence of real photos.
        composed: TRAIN photos without road work, with road work or distractors rendered into them; for training only.
        licences: licence of each row's photo, in the order of `table`.
        manifest: counts, versions and file digests, as `manifest.json` holds them.
    """

    table: FeatureTable
    composed: FeatureTable
    licences: tuple[str, ...]
    manifest: dict[str, Any]

    def training_table(self) -> FeatureTable:
        """The photos and, as further TRAIN rows of small weight, the composed ones."""
        return FeatureTable.concat([self.table, self.composed])


def load_starter(root: Path | None = None) -> StarterPack:
    """Loads the starter pack.

    Args:
        root: its folder; None takes `starter` in the settings' data folder, else the one beside the package.

    Raises:
        DataError: there is no pack.
        ManifestError: a file differs from the manifest.
    """
    folder = root if root is not None else starter_folder()
    manifest = _read_manifest(folder)
    for name, digest in manifest["files"].items():
        _check(folder / name, digest)
    table = FeatureTable.load(folder / TABLE_FILE)
    licences: dict[str, str] = manifest["licences"]
    has_twins = COMPOSED_FILE in manifest["files"]
    composed = FeatureTable.load(folder / COMPOSED_FILE) if has_twins else table.select([])
    return StarterPack(table, composed, tuple(licences[origin] for origin in table.origins), manifest)


def starter_folder() -> Path:
    """The starter pack in the settings' data folder, where there is one, else the one beside the package."""
    own = load_settings().paths.resolve("data") / "starter"
    return own if (own / MANIFEST_FILE).is_file() else _REPOSITORY_PACK


def _read_manifest(folder: Path) -> dict[str, Any]:
    try:
        manifest = json.loads((folder / MANIFEST_FILE).read_text())
        if not isinstance(manifest["files"], dict) or TABLE_FILE not in manifest["files"]:
            raise ValueError(f"no digest of {TABLE_FILE}")
        return dict(manifest)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            got=f"{folder / MANIFEST_FILE}: {error}",
            allowed="the starter pack of this repository",
            action=f"check out data/starter, or run: {BUILD_COMMAND}",
            path=str(folder),
        ) from error


def _check(path: Path, digest: str) -> None:
    got = file_sha256(path) if path.is_file() else "no file"
    if got != digest:
        raise ManifestError(
            got=f"{path.name} with sha256 {got[:12]}",
            allowed=f"sha256 {digest[:12]}, as {MANIFEST_FILE} says",
            action=f"check out data/starter again, or run: {BUILD_COMMAND}",
            path=str(path),
        )
