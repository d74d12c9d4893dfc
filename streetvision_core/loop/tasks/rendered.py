"""Rendered rows: queries with the renderer's truth, and the fixed held-out set the gate decides on.

The held-out set is a quarter CALIBRATE, the rest TEST, each scene its own group, never mined. It comes with the starter
pack, observed by the embedded models; a workspace of other models, or one that asks for more frames, renders and
observes its own at the first call.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from streetvision_core.data.starter import starter_folder
from streetvision_core.data.table import FeatureTable
from streetvision_core.errors import ManifestError
from streetvision_core.images.decode import decode_image
from streetvision_core.loop.tasks.day import Day
from streetvision_core.mining.stream import StreamQuery, heldout_stream
from streetvision_core.storage import atomic_write_json, file_sha256
from streetvision_core.types import Frame, Split

RENDERED: Final = "street world (rendered)"
"""Origin of every rendered frame, in tables and reports."""

TABLE_FILE: Final = "heldout.npz"
MANIFEST_FILE: Final = "heldout.json"
BUILD_COMMAND: Final = "python -m streetvision_core.loop.build_heldout --out data/starter"
_CALIBRATE_EVERY: Final = 4


def observe_queries(day: Day, queries: Iterable[StreamQuery], splits: list[Split] | None, bar: str) -> FeatureTable:
    """Runs every stage on rendered queries and keeps features, evidence and the renderer's truth."""
    kept = list(queries)
    frames = [decode_image(q.jpeg_bytes, q.group) for q in kept]
    features, evidence = day.observe(frames, bar)
    return FeatureTable.build(
        features,
        backbone=day.models.backbone.name,
        preprocessing=day.models.preprocessor.name,
        labels=[q.truth for q in kept],
        ids=[f"{frame.sha256[:16]}-{i}" for i, frame in enumerate(frames)],
        groups=[q.group for q in kept],
        origins=[RENDERED] * len(kept),
        eras=[q.era for q in kept],
        evidence=evidence,
        splits=splits,
    )


def heldout_table(day: Day) -> FeatureTable:
    """The rows of the `loop.heldout_frames` first held-out scenes.

    Raises:
        ManifestError: the shipped file is not the one that its manifest names.
    """
    n = day.settings.loop.heldout_frames
    path = day.workspace.data / "heldout" / f"{n}-{day.make}.npz"
    if path.exists():
        return FeatureTable.load(path)
    if (table := _shipped(day.make, n)) is None:
        table = observe_heldout(day, n)
        table.save(path)
    return table


def observe_heldout(day: Day, n: int) -> FeatureTable:
    """Renders n held-out scenes and runs every stage on them; the first m of n are the same for every n."""
    splits = [Split.TEST if i % _CALIBRATE_EVERY else Split.CALIBRATE for i in range(n)]
    return observe_queries(day, heldout_stream(n), splits, "held-out scenes")


def calibrate_frames(n: int) -> list[Frame]:
    """The first n frames of the held-out set that are CALIBRATE, as they are sent; no other scene is rendered."""
    chosen = heldout_stream(n * _CALIBRATE_EVERY, every=_CALIBRATE_EVERY)
    return [decode_image(q.jpeg_bytes, q.group) for q in chosen]


def ship_heldout(day: Day, n: int, folder: Path) -> dict[str, Any]:
    """Writes the set into a starter pack and returns its manifest."""
    observe_heldout(day, n).save(folder / TABLE_FILE, quantised=True)
    manifest = {
        "build": BUILD_COMMAND,
        "frames": n,
        "make": day.make,
        "origin": "rendered street world, held-out seeds; no photo",
        "sha256": file_sha256(folder / TABLE_FILE),
    }
    atomic_write_json(folder / MANIFEST_FILE, manifest)
    return manifest


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
