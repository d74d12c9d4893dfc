"""The files of the starter pack: table, attribution, readme and the manifest with their digests."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, Final

import numpy as np

from streetvision_core.data._attribution import attribution_text
from streetvision_core.data._variants import VARIANTS
from streetvision_core.data.starter import BUILD_COMMAND, COMPOSED_FILE, MANIFEST_FILE, TABLE_FILE
from streetvision_core.data.table import FeatureTable
from streetvision_core.errors import DataError
from streetvision_core.models.evidence import EVIDENCE_NAMES
from streetvision_core.storage import atomic_write_json, atomic_write_text, file_sha256
from streetvision_core.types import Split

MAX_BYTES: Final = 8 * 2**20
README_FILE: Final = "README.md"
ATTRIBUTION_FILE: Final = "ATTRIBUTION.md"
_FILES: Final = (TABLE_FILE, COMPOSED_FILE, ATTRIBUTION_FILE, README_FILE)


def write_pack(table: FeatureTable, composed: FeatureTable, licences: dict[str, str], folder: Path) -> dict[str, Any]:
    """Writes the pack's files and returns the manifest.

    Args:
        table: rows of real photos.
        composed: further TRAIN rows.
        licences: licence by origin of the photos.
        folder: where to write.

    Raises:
        DataError: the tables are larger than `MAX_BYTES`.
    """
    table.save(folder / TABLE_FILE, quantised=True)
    composed.save(folder / COMPOSED_FILE, quantised=True)
    size = sum((folder / name).stat().st_size for name in (TABLE_FILE, COMPOSED_FILE))
    if size > MAX_BYTES:
        raise DataError(f"tables of {size} bytes", f"at most {MAX_BYTES}", "make fewer variants per photo")
    photos = Counter(o for o, era in zip(table.origins, table.eras, strict=True) if era == "native")
    atomic_write_text(folder / ATTRIBUTION_FILE, attribution_text(licences, photos))
    atomic_write_text(folder / README_FILE, _readme(table, composed))
    manifest = {
        "backbone": table.backbone,
        "preprocessing": table.preprocessing,
        "rows": len(table),
        "composed_rows": len(composed),
        "dim": table.dim,
        "evidence": [n for n, known in zip(EVIDENCE_NAMES, _known(table), strict=True) if known],
        "variants": dict(VARIANTS),
        "counts": _counts(table),
        "licences": licences,
        "build": BUILD_COMMAND,
        "files": {name: file_sha256(folder / name) for name in _FILES},
    }
    atomic_write_json(folder / MANIFEST_FILE, manifest)
    return manifest


def _known(table: FeatureTable) -> list[bool]:
    return [bool(np.isfinite(column).any()) for column in table.evidence.T]


def _counts(table: FeatureTable) -> dict[str, dict[str, int]]:
    """Photos per origin and label, by split."""
    counts: dict[str, dict[str, int]] = {}
    for i, origin in enumerate(table.origins):
        if table.eras[i] == "native" and table.splits is not None:
            row = counts.setdefault(f"{origin} | {'roadwork' if table.labels[i] else 'none'}", dict.fromkeys(Split, 0))
            row[table.splits[i]] += 1
    return dict(sorted(counts.items()))


def _readme(table: FeatureTable, composed: FeatureTable) -> str:
    lines = [
        "# Starter pack",
        "",
        f"Features ({table.backbone}, {table.preprocessing}, {table.dim} columns) of real street photos, with labels,",
        "groups, origins, eras, splits and the evidence of the later stages. No photo is in it. Each photo gives a row",
        "as it is and rows as the validators' older eras would have sent it. Load it with",
        "`streetvision_core.data.starter.load_starter()`; who made the photos stands in ATTRIBUTION.md.",
        "",
        f"`{COMPOSED_FILE}`: {len(composed)} further rows for training only, made from TRAIN photos without road",
        "work by rendering devices, or mere distractors, into them. The real positives come from few cameras; the",
        "twins keep a head from learning cameras instead of streets. They never count as photos: their origin ends in",
        "`(composed)`.",
        "",
        "`heldout.npz`: the rendered scenes that the gate decides on and the cascade is calibrated with, no photos;",
        "`heldout.json` says how many and names the command that makes them.",
        "",
        "Groups never stand in two splits. Photos per origin, label and split:",
        "",
        "| origin and label | " + " | ".join(Split) + " |",
        "|---|" + "---|" * len(Split),
    ]
    rows = [
        f"| {name.replace(' | ', ', ')} | " + " | ".join(map(str, c.values())) + " |"
        for name, c in _counts(table).items()
    ]
    return "\n".join([*lines, *rows, "", f"Made by `{BUILD_COMMAND}`.", ""])
