"""Rendered rows: frames with the renderer's truth, and the fixed held-out scenes, never mined and never learned from.

A quarter of the held-out scenes is CALIBRATE, the rest TEST, each its own group. They come with the starter pack as
the embedded models see them; other models, or more frames than shipped, render and observe their own.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from streetvision_core.data.observe import Observer
from streetvision_core.data.starter import starter_folder
from streetvision_core.data.table import FeatureTable
from streetvision_core.errors import ManifestError
from streetvision_core.images.decode import decode_image
from streetvision_core.learning.dataset import Dataset, Provenance
from streetvision_core.mining.stream import StreamQuery, heldout_stream
from streetvision_core.models.evidence import keep_evidence
from streetvision_core.storage import atomic_write_json, file_sha256
from streetvision_core.types import Frame, Split

RENDERED: Final = "street world (rendered)"
"""Origin of every rendered frame, in tables and reports."""

TABLE_FILE: Final = "heldout.npz"
MANIFEST_FILE: Final = "heldout.json"
BUILD_COMMAND: Final = "python -m streetvision_core.loop.build_heldout --out data/starter"
PACK_DETECTORS: Final = ("dense-lite2@1", "yolo12n@1")
"""Whose evidence the starter pack holds, where its manifest does not say."""
SOURCE: Final = "held-out scenes"
LICENCE: Final = "rendered by this package"
_CALIBRATE_EVERY: Final = 4


def observe_rendered(
    observer: Observer, queries: Sequence[StreamQuery], splits: Sequence[Split], caption: str
) -> Dataset:
    """Runs every stage on rendered queries and keeps features, evidence and the renderer's truth."""
    frames = [decode_image(query.jpeg_bytes, query.group) for query in queries]
    features, evidence = observer.observe(frames, caption)
    table = FeatureTable.build(
        features,
        backbone=observer.models.backbone.name,
        preprocessing=observer.models.preprocessor.name,
        labels=[query.truth for query in queries],
        ids=[f"{frame.sha256[:16]}-{i}" for i, frame in enumerate(frames)],
        groups=[query.group for query in queries],
        origins=[RENDERED] * len(queries),
        eras=[query.era for query in queries],
        evidence=evidence,
        splits=splits,
    )
    rows = [
        rendered_row(frame.sha256, caption, modes=query.modes, width=frame.width, height=frame.height)
        for frame, query in zip(frames, queries, strict=True)
    ]
    return Dataset(table, tuple(rows), observer.detectors)


def rendered_row(image: str, source: str, **known: Any) -> Provenance:
    """Where a rendered row comes from."""
    return Provenance(image, labelled_by="renderer", world="rendered", licence=LICENCE, source=source, **known)


def heldout_rows(observer: Observer, n: int, folder: Path) -> Dataset:
    """The n first held-out scenes: those shipped, else those kept in the folder, else rendered now (minutes).

    Raises:
        ManifestError: the shipped file is not the one that its manifest names.
    """
    path = folder / f"{n}-{observer.make}.npz"
    table = FeatureTable.load(path) if path.exists() else _shipped_for(observer, n)
    if table is None:
        return render_heldout(observer, n)
    rows = tuple(rendered_row(name, SOURCE) for name in table.ids)
    return Dataset(table, rows, observer.detectors)


def save_heldout(heldout: Dataset, observer: Observer, folder: Path) -> None:
    """Keeps held-out scenes that were rendered here; shipped ones stay where they are."""
    if _shipped_for(observer, len(heldout)) is None:
        heldout.table.save(folder / f"{len(heldout)}-{observer.make}.npz")


def render_heldout(observer: Observer, n: int) -> Dataset:
    """Renders n held-out scenes and runs every stage on them; the first m of n are the same for every n."""
    splits = [Split.TEST if i % _CALIBRATE_EVERY else Split.CALIBRATE for i in range(n)]
    return observe_rendered(observer, list(heldout_stream(n)), splits, SOURCE)


def calibrate_frames(n: int) -> list[Frame]:
    """The first n frames of the held-out scenes that are CALIBRATE, as they are sent; no other scene is rendered."""
    chosen = heldout_stream(n * _CALIBRATE_EVERY, every=_CALIBRATE_EVERY)
    return [decode_image(query.jpeg_bytes, query.group) for query in chosen]


def save_shipped_heldout(observer: Observer, n: int, folder: Path) -> dict[str, Any]:
    """Writes the scenes into a starter pack and returns their manifest."""
    render_heldout(observer, n).table.save(folder / TABLE_FILE, quantised=True)
    manifest = {
        "build": BUILD_COMMAND,
        "frames": n,
        "make": observer.make,
        "origin": "rendered street world, held-out seeds; no photo",
        "sha256": file_sha256(folder / TABLE_FILE),
    }
    atomic_write_json(folder / MANIFEST_FILE, manifest)
    return manifest


def _shipped_for(observer: Observer, n: int) -> FeatureTable | None:
    """The shipped rows as the profile's detectors may use them: with fewer detectors nothing needs to be rendered."""
    if (table := _shipped(observer.make, n)) is not None or not set(observer.detectors) < set(PACK_DETECTORS):
        return table
    table = _shipped(observer.make_with(PACK_DETECTORS), n)
    return table and replace(table, evidence=keep_evidence(table.evidence, PACK_DETECTORS, observer.detectors))


def _shipped(make: str, n: int) -> FeatureTable | None:
    """The first n shipped rows, or None where the pack has no such rows of these models."""
    folder = starter_folder()
    if not (folder / MANIFEST_FILE).is_file():
        return None
    manifest = json.loads((folder / MANIFEST_FILE).read_text())
    if manifest["make"] != make or manifest["frames"] < n:
        return None
    digest = file_sha256(folder / TABLE_FILE) if (folder / TABLE_FILE).is_file() else "no file"
    if digest != manifest["sha256"]:
        raise ManifestError(
            got=f"{TABLE_FILE} with sha256 {digest[:12]}",
            allowed=f"sha256 {manifest['sha256'][:12]}, as {MANIFEST_FILE} says",
            action=f"check out data/starter again, or run: {BUILD_COMMAND}",
            path=str(folder / TABLE_FILE),
        )
    return FeatureTable.load(folder / TABLE_FILE).select(range(n))
