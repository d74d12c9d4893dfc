"""The plan: what a profile holds on a card at once, and what to change where that is too much."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from streetvision_core.compression.memory.shapes import shape
from streetvision_core.errors import SettingsError
from streetvision_core.settings import Settings

GIB: Final = 2**30
RUNTIME_GIB: Final = 0.6
"""Assumed: CUDA context and the workspaces of cuBLAS and cuDNN in one process."""
SLACK: Final = 0.08
"""Assumed: share of everything else that the allocator holds without using it."""
BATCH: Final = 8
"""Images that go through a stage together, as the server's `batch_images`."""
VLM_BATCH: Final = 4
"""Questions that are answered together."""
LIGHT: Final = {
    "timm/vit_large_patch16_dinov3.lvd1689m": "timm/vit_base_patch16_dinov3.lvd1689m",
    "rfdetr-medium": "rfdetr-small",
}


@dataclass(frozen=True, slots=True)
class Item:
    """One model, or the runtime, on the card.

    Attributes:
        role: its job.
        model: its id.
        params: number of parameters.
        precision: of its weights.
        weights_gib: of its weights.
        working_gib: KV cache and activations of one batch.
        resident: whether it lies on the card at the worst moment; the smaller of two models that take turns does not.
    """

    role: str
    model: str
    params: int
    precision: str
    weights_gib: float
    working_gib: float
    resident: bool = True

    @property
    def total_gib(self) -> float:
        """Weights and working memory."""
        return self.weights_gib + self.working_gib

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form."""
        numbers = {"weights_gib": round(self.weights_gib, 3), "working_gib": round(self.working_gib, 3)}
        text = {"role": self.role, "model": self.model, "params": self.params, "precision": self.precision}
        return {**text, **numbers, "resident": self.resident}


@dataclass(frozen=True, slots=True)
class Change:
    """Something that makes the plan smaller.

    Attributes:
        what: in words, with the setting's name.
        total_gib: of the card with this and all earlier changes.
        fits: whether that is enough.
    """

    what: str
    total_gib: float
    fits: bool

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form."""
        return {"what": self.what, "total_gib": round(self.total_gib, 2), "fits": self.fits}


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """What a profile needs on a card.

    Attributes:
        profile: its name.
        gpu_gib: of the card.
        miners: processes on it.
        shared: whether one model server works for all of them.
        items: of one process.
        total_gib: of all processes at the worst moment.
        changes: tried in order until it fits; empty where it fits as it is.
        unknown: models whose shape is not known and that are not counted.
    """

    profile: str
    gpu_gib: float
    miners: int
    shared: bool
    items: tuple[Item, ...]
    total_gib: float
    changes: tuple[Change, ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def fits(self) -> bool:
        """Whether the card is large enough without a change."""
        return self.total_gib <= self.gpu_gib

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form."""
        return {
            "profile": self.profile,
            "gpu_gib": self.gpu_gib,
            "miners": self.miners,
            "shared": self.shared,
            "fits": self.fits,
            "total_gib": round(self.total_gib, 2),
            "items": [item.to_dict() for item in self.items],
            "changes": [change.to_dict() for change in self.changes],
            "unknown": list(self.unknown),
            "assumed": {"runtime_gib": RUNTIME_GIB, "slack": SLACK, "batch": BATCH, "vlm_batch": VLM_BATCH},
        }


@dataclass(frozen=True, slots=True)
class _Choice:
    """What may be changed about a profile."""

    models: tuple[tuple[str, str], ...]
    """(role, id)."""
    vlm_precision: str
    precision: str
    miners: int
    shared: bool = False
    one_vlm: bool = False
    vlm_batch: int = VLM_BATCH


def plan_memory(settings: Settings, gpu_gib: float, miners: int = 1) -> MemoryPlan:
    """Counts what a profile takes, and tries changes until it fits.

    Args:
        settings: the profile; `vlm.four_bit`, `vlm.backend` and `models.precision` count.
        gpu_gib: memory of the card, in GiB.
        miners: processes of this profile on it, each with its own models.

    Raises:
        SettingsError: a card without memory, no miner, or a profile without big models.
    """
    if not gpu_gib > 0 or miners < 1:
        raise SettingsError(
            f"{gpu_gib:g} GiB and {miners} miners", "more than 0 GiB, 1 miner or more", "mend the options"
        )
    chosen = settings.models
    here = settings.vlm.backend == "transformers"
    named = [("backbone", chosen.backbone), *(("detector", d) for d in chosen.detectors)]
    named += [("vlm", chosen.vlm or ""), ("video_vlm", chosen.video_vlm or "")] if here else []
    named += [("ocr", chosen.ocr or "")]
    known = tuple((role, name) for role, name in named if shape(name) is not None)
    if not known:
        raise SettingsError(
            got=f"profile {settings.profile!r}, whose models run on the CPU",
            allowed="a profile with big models: light or platinum",
            action="name one: streetvision plan-memory --profile light --gpu 24",
        )
    precision = "bf16" if chosen.precision == "auto" else chosen.precision
    choice = _Choice(known, "w4" if settings.vlm.four_bit else precision, precision, miners)
    unknown = tuple(name for _, name in named if name and shape(name) is None)
    items, total = _count(choice)
    changes = () if total <= gpu_gib else _changes(choice, gpu_gib)
    return MemoryPlan(settings.profile, gpu_gib, miners, False, items, total, changes, unknown)


def _count(choice: _Choice) -> tuple[tuple[Item, ...], float]:
    """The items of one process, and the GiB of all of them."""
    items = tuple(_item(role, name, choice) for role, name in choice.models)
    generating = [item for item in items if item.role in ("vlm", "video_vlm")]
    if choice.one_vlm and len(generating) > 1:
        largest = max(generating, key=lambda item: item.total_gib)
        items = tuple(replace(i, resident=i not in generating or i is largest) for i in items)
    resident = [item for item in items if item.resident]
    weights = sum(item.weights_gib for item in resident)
    # Stages follow one another in a process, so that only the largest working set is alive; detectors run side by side.
    side_by_side = sum(item.working_gib for item in resident if item.role == "detector")
    working = max(side_by_side, *(item.working_gib for item in resident))
    one = (weights + working) * (1 + SLACK) + RUNTIME_GIB
    return items, one if choice.shared else one * choice.miners


def _item(role: str, name: str, choice: _Choice) -> Item:
    known = shape(name)
    assert known is not None  # `plan_memory` passes over the others
    generates = role in ("vlm", "video_vlm")
    precision = choice.vlm_precision if generates else choice.precision
    batch = 1 if role == "video_vlm" else choice.vlm_batch if generates else BATCH
    number = 4 if precision == "fp32" else 2
    working = known.kv_bytes(batch, number) + known.activation_bytes(batch, number)
    return Item(role, name, known.params, precision, known.weight_bytes(precision) / GIB, working / GIB)


def _changes(start: _Choice, gpu_gib: float) -> tuple[Change, ...]:
    """Adds one change after another, the mildest first, until it fits or nothing is left."""
    made: list[Change] = []
    choice = start
    for what, change in _STEPS:
        changed = change(choice)
        if changed == choice:
            continue
        _, total = _count(changed)
        if total >= _count(choice)[1]:
            continue
        choice = changed
        made.append(Change(what, total, total <= gpu_gib))
        if made[-1].fits:
            break
    return tuple(made)


def _without(choice: _Choice, roles: Sequence[str]) -> _Choice:
    return replace(choice, models=tuple((role, name) for role, name in choice.models if role not in roles))


_STEPS: Final = (
    (
        "let the two image-text models take turns: SV_VLM__MEMORY_GIB below their sum",
        lambda c: replace(c, one_vlm=True),
    ),
    ("weights of the image-text models in 4 bit: SV_VLM__FOUR_BIT=true", lambda c: replace(c, vlm_precision="w4")),
    ("16-bit weights: SV_MODELS__PRECISION=bf16", lambda c: replace(c, precision="bf16")),
    ("one question at a time: SV_SERVING__BATCH_IMAGES=1", lambda c: replace(c, vlm_batch=1)),
    ("one model server for all miners instead of one each", lambda c: replace(c, shared=c.miners > 1)),
    (
        "the smaller backbone and detector of the profile light",
        lambda c: replace(c, models=tuple((role, LIGHT.get(name, name)) for role, name in c.models)),
    ),
    ("no video model: SV_MODELS__VIDEO_VLM=null", lambda c: _without(c, ("video_vlm",))),
    ("the image-text model on another machine: SV_VLM__BACKEND=server", lambda c: _without(c, ("vlm", "video_vlm"))),
    ("no text reader: SV_MODELS__OCR=null", lambda c: _without(c, ("ocr",))),
)
"""Mildest first: what costs time before what costs quality, what costs quality before what costs a stage."""
