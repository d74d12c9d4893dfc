"""Images drawn to order by a generator: planned with a cost first, resumable, judged, with provenance in every file.

An image is done when its JSON record is on disk; a run that was killed goes on with the first that is not. Refused
images are kept beside the others with the reason, so that a person can see what the gate refuses.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from streetvision_core.errors import DataError
from streetvision_core.images.provenance import to_png
from streetvision_core.mining.quality import Judgement, QualityGate
from streetvision_core.mining.synthesize import SyntheticPlan
from streetvision_core.models.generator import Request, Task
from streetvision_core.storage import atomic_write_bytes, atomic_write_json
from streetvision_core.types import Box, FailureMode, Frame, Pixels

ORIGIN: Final = "generated-synthetic"
MANIFEST: Final = "manifest.json"

WritePrompt = Callable[[Frame, int, FailureMode | None], str]
Observe = Callable[[Frame], tuple[npt.NDArray[np.float32], Sequence[Box]]]
"""Features float32 [D] and boxes of an image."""


class Generator(Protocol):
    """Draws requests; `usd_per_image` is 0 for weights of our own."""

    def draw(self, requests: Sequence[Request]) -> list[Pixels]:
        """One image per request."""
        ...

    def provenance(self, request: Request) -> dict[str, Any]:
        """Everything that made an image."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Photo:
    """A real photo to start from."""

    frame: Frame
    label: int
    group: str


@dataclass(frozen=True, slots=True, eq=False)
class Planned:
    """One image to draw: its id, request, group and ordered mode."""

    id: str
    request: Request
    group: str
    mode: FailureMode | None


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a plan will take.

    Attributes:
        images: still to draw.
        done: drawn before.
        seconds: expected; None before one image has been timed on this machine.
        usd: for a paid provider or rented GPU; None where the time is unknown.
    """

    images: int
    done: int
    seconds: float | None
    usd: float | None


def plan_requests(plan: SyntheticPlan, photos: Sequence[Photo], write: WritePrompt, seed: int = 0) -> Iterator[Planned]:
    """One image after the other for a plan: each pair is a drawn twin with road work and one without.

    Text to image and image to image take turns, as with the validators. Where the photo is a real negative, every third
    pair is its twin instead: road work painted into the photo's lower half.

    Args:
        plan: orders by failure mode.
        photos: real photos, at least one.
        write: gives a prompt for a photo, a label and a condition.
        seed: of photos and samplers.
    """
    if not photos:
        raise DataError("no real photo", "at least one to start from", "set paths.streets or challenge.folder")
    rng = np.random.default_rng(seed)
    number = 0
    for order in plan.orders:
        for _ in range(order.pairs):
            photo = photos[int(rng.integers(len(photos)))]
            name = f"{seed}-{number}"
            draws = int(rng.integers(2**31))
            number += 1
            if photo.label == 0 and number % 3 == 0:
                prompt = write(photo.frame, 1, order.mode)
                request = Request("inpaint", prompt, 1, draws, photo.frame, road_mask(photo.frame), strength=0.99)
                yield Planned(f"twin-{name}-1", request, photo.group, order.mode)
                continue
            started = photo.frame if number % 2 else None
            task: Task = "image-to-image" if started is not None else "text-to-image"
            for label in (1, 0):
                request = Request(task, write(photo.frame, label, order.mode), label, draws, started)
                yield Planned(f"drawn-{name}-{label}", request, photo.group, order.mode)


def road_mask(frame: Frame) -> npt.NDArray[np.bool_]:
    """Where road work may be painted: a trapezium below the horizon, narrow far away and wide near the camera."""
    rows = np.linspace(0.0, 1.0, frame.height)[:, None]
    columns = np.abs(np.linspace(-1.0, 1.0, frame.width))[None, :]
    return np.asarray((rows > 0.5) & (columns < 0.25 + 1.2 * (rows - 0.5)), np.bool_)


def estimate(
    planned: Sequence[Planned], folder: Path, usd_per_image: float = 0.0, usd_per_hour: float = 0.0
) -> Estimate:
    """Cost and time of what is not yet drawn, from the images already timed in the folder."""
    records = [r for r in (_record(folder, p) for p in planned) if r is not None]
    left = len(planned) - len(records)
    seconds = float(np.median([r["seconds"] for r in records])) * left if records else None
    if usd_per_hour and seconds is None:
        return Estimate(left, len(records), None, None)
    usd = left * usd_per_image + (seconds or 0.0) / 3600 * usd_per_hour
    return Estimate(left, len(records), seconds, round(usd, 4))


def draw(
    planned: Sequence[Planned],
    generator: Generator,
    gate: QualityGate,
    observe: Observe,
    folder: Path,
    progress: Callable[[int, int], None] | None = None,
) -> list[dict[str, Any]]:
    """Draws what is not yet drawn, judges it and writes it.

    Args:
        planned: the images.
        generator: draws them; one that costs money raises `BudgetError` at its cap, and what was drawn stays.
        gate: decides which may teach.
        observe: features and boxes of an image.
        folder: `<id>.png` and `<id>.json` each, and `manifest.json` at the end.
        progress: called with images done and in all.

    Returns:
        The records of all images, in order.
    """
    records: list[dict[str, Any]] = []
    for done, one in enumerate(planned):
        record = _record(folder, one)
        if record is None:
            record = _draw_one(one, generator, gate, observe, folder)
        records.append(record)
        if progress is not None:
            progress(done + 1, len(planned))
    atomic_write_json(folder / MANIFEST, {"images": records, "kept": sum(not r["refusal"] for r in records)})
    return records


def _draw_one(one: Planned, generator: Generator, gate: QualityGate, observe: Observe, folder: Path) -> dict[str, Any]:
    started = time.perf_counter()
    [pixels] = generator.draw([one.request])
    seconds = time.perf_counter() - started
    features, boxes = observe(Frame.from_pixels(pixels, one.id))
    judgement: Judgement = gate.judge(features, boxes, one.request.label)
    record = {
        "id": one.id,
        "request_sha256": _request_digest(one),
        "origin": ORIGIN,
        "synthetic": True,
        "label": one.request.label,
        "group": one.group,
        "mode": one.mode,
        "seconds": round(seconds, 3),
        **asdict(judgement),
        **generator.provenance(one.request),
    }
    atomic_write_bytes(folder / f"{one.id}.png", to_png(pixels, record))
    atomic_write_json(folder / f"{one.id}.json", record)
    return record


def _record(folder: Path, one: Planned) -> dict[str, Any] | None:
    """The image's record, if it was drawn for this very request."""
    path = folder / f"{one.id}.json"
    if not path.exists() or not (folder / f"{one.id}.png").exists():
        return None
    record: dict[str, Any] = json.loads(path.read_text())
    return record if record["request_sha256"] == _request_digest(one) else None


def _request_digest(one: Planned) -> str:
    r = one.request
    mask = hashlib.sha256(r.mask.tobytes()).hexdigest() if r.mask is not None else None
    fields = (r.task, r.full_prompt, r.label, r.seed, r.strength, r.image.sha256 if r.image else None, mask)
    return hashlib.sha256(json.dumps(fields).encode()).hexdigest()
