"""Low-rank adapters on DINOv3: a few layers learn our streets, the rest stays as it was.

What comes out is a backbone, `lora/NAME` in the folder of big models. The head is then trained on its stored features
like any other, so calibration and gate need to know nothing of it. LoRA: arXiv 2106.09685, focal loss: 1708.02002.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np

from streetvision_core.data.splits import check_no_leak
from streetvision_core.errors import DataError, MissingExtraError, ModelError
from streetvision_core.images.preprocess import Preprocessor, get_preprocessor
from streetvision_core.models import hub
from streetvision_core.models.dinov3 import CARD, LORA_PREFIX, Network, check_views, open_network
from streetvision_core.models.torch_models import device_of
from streetvision_core.settings import Settings
from streetvision_core.storage import atomic_write_json
from streetvision_core.training.spec import Loss
from streetvision_core.types import Frame, Split

TARGETS: Final = {
    "timm": ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2", "mlp.fc1_g", "mlp.fc1_x"),
    "transformers": ("q_proj", "k_proj", "v_proj", "o_proj", "up_proj", "down_proj", "gate_proj"),
}
"""The linear layers each implementation has; the gated ones only in S+, H+ and 7B."""

Progress = Callable[[int, int], None]


class Example(Protocol):
    """A labelled image, read when it is needed; `data.sources.LabelledImage` is one."""

    @property
    def label(self) -> int | None:
        """1 road work, 0 none."""

    @property
    def group(self) -> str:
        """Images of one group are not independent."""

    def read(self) -> Frame:
        """The image."""


@dataclass(frozen=True, slots=True)
class LoraSpec:
    """How an adapter is trained.

    Attributes:
        rank: of the update of each layer.
        alpha: the update counts alpha / rank.
        dropout: before the update.
        learning_rate: of AdamW.
        weight_decay: of AdamW.
        epochs: passes over TRAIN.
        batch: images a step.
        loss: focal weighs an image by (1 - p of its class) ** gamma.
        gamma: of the focal loss.
        mirror: whether half of the images are mirrored.
    """

    rank: int = 8
    alpha: int = 16
    dropout: float = 0.05
    learning_rate: float = 2e-4
    weight_decay: float = 1e-2
    epochs: int = 5
    batch: int = 16
    loss: Loss = "focal"
    gamma: float = 2.0
    mirror: bool = True


@dataclass(frozen=True, slots=True)
class LoraResult:
    """What came of a training.

    Attributes:
        backbone: the name to set as `models.backbone`.
        trained_parameters: of the adapter.
        select_log_loss: after each epoch; the best epoch is the one kept.
        best_epoch: counted from 1.
    """

    backbone: str
    trained_parameters: int
    select_log_loss: tuple[float, ...]
    best_epoch: int


def train_lora(
    base: str,
    train: Sequence[Example],
    select: Sequence[Example],
    name: str,
    settings: Settings,
    spec: LoraSpec | None = None,
    seed: int = 0,
    progress: Progress = lambda done, total: None,
) -> LoraResult:
    """Trains an adapter on TRAIN, keeps its best epoch on SELECT and puts it into the folder of big models.

    Args:
        base: a DINOv3 id whose folder is here.
        train: labelled images.
        select: labelled images of other groups.
        name: the adapter becomes `lora/NAME`.
        settings: preprocessing, device, folders.
        spec: how; None takes the defaults.
        seed: of initial values and order.
        progress: told steps done and steps in all.

    Raises:
        DataError: a class is missing, or an image has no label.
        LeakError: a group stands in both.
        MissingExtraError: peft is not installed.
    """
    spec = spec or LoraSpec()
    _check(train, select)
    import torch

    torch.manual_seed(seed)
    preprocessor, device = get_preprocessor(settings.models.preprocessing), device_of(settings)
    network = open_network(base, settings)
    adapted = _adapt(network, spec)
    adapted.to(device)
    head = torch.nn.Linear(2 * network.width, 1).to(device)
    learned = [p for p in (*adapted.parameters(), *head.parameters()) if p.requires_grad]
    optimiser = torch.optim.AdamW(learned, lr=spec.learning_rate, weight_decay=spec.weight_decay)
    total = spec.epochs * -(-len(train) // spec.batch)
    rng, losses, done = np.random.default_rng(seed), list[float](), 0
    folder = hub.folder_of(f"{LORA_PREFIX}{name}", settings)
    for _ in range(spec.epochs):
        adapted.train()
        for batch in _shuffled(train, spec.batch, rng):
            pixels = _pixels(batch, preprocessor, network, device, rng if spec.mirror else None)
            loss = _loss(head(network.features(pixels))[:, 0], _labels(batch, device), spec)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            done += 1
            progress(done, total)
        losses.append(_log_loss(adapted, head, select, preprocessor, network, device, spec))
        if losses[-1] == min(losses):
            adapted.save_pretrained(str(folder), safe_serialization=True)
    _finish(folder, base, name, network, settings, spec, losses)
    count = sum(p.numel() for p in adapted.parameters() if p.requires_grad)
    return LoraResult(f"{LORA_PREFIX}{name}", count, tuple(losses), int(np.argmin(losses)) + 1)


def _adapt(network: Network, spec: LoraSpec) -> Any:
    """The network with adapters put into it in place, all else frozen."""
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError as error:
        raise MissingExtraError("peft", "gpu") from error
    names = [name for name, _ in network.model.named_modules()]
    there = [t for t in TARGETS[network.implementation] if any(name.endswith(f".{t}") for name in names)]
    if not there:
        raise ModelError(
            got=f"a network of {network.implementation} without a layer to adapt",
            allowed=", ".join(TARGETS[network.implementation]),
            action="adapt a DINOv3 vision transformer",
        )
    config = LoraConfig(
        r=spec.rank, lora_alpha=spec.alpha, lora_dropout=spec.dropout, target_modules=there, bias="none"
    )
    return get_peft_model(network.model, config)


def _shuffled(train: Sequence[Example], size: int, rng: np.random.Generator) -> Iterator[list[Example]]:
    order = rng.permutation(len(train))
    for start in range(0, len(order), size):
        yield [train[int(i)] for i in order[start : start + size]]


def _pixels(
    batch: Sequence[Example], preprocessor: Preprocessor, network: Network, device: str, rng: np.random.Generator | None
) -> Any:
    """The first view of each image, half of them mirrored where `rng` is given."""
    import torch

    views = np.stack([preprocessor.views(one.read().pixels)[0] for one in batch])
    if rng is not None:
        mirrored = rng.random(len(views)) < 0.5
        views[mirrored] = views[mirrored, :, ::-1]
    check_views(views, network.patch)
    return network.normalise(views, device, torch.float32)


def _labels(batch: Sequence[Example], device: str) -> Any:
    import torch

    return torch.tensor([float(one.label or 0) for one in batch], device=device)


def _loss(logits: Any, labels: Any, spec: LoraSpec) -> Any:
    import torch.nn.functional as f

    plain = f.binary_cross_entropy_with_logits(logits, labels, reduction="none")
    if spec.loss == "cross-entropy":
        return plain.mean()
    return ((1 - (-plain).exp()) ** spec.gamma * plain).mean()


def _log_loss(
    adapted: Any,
    head: Any,
    select: Sequence[Example],
    preprocessor: Preprocessor,
    network: Network,
    device: str,
    spec: LoraSpec,
) -> float:
    """Log-loss on SELECT, whatever loss is trained."""
    import torch
    import torch.nn.functional as f

    adapted.eval()
    total = 0.0
    with torch.inference_mode():
        for start in range(0, len(select), spec.batch):
            batch = select[start : start + spec.batch]
            logits = head(network.features(_pixels(batch, preprocessor, network, device, None)))[:, 0]
            total += float(f.binary_cross_entropy_with_logits(logits, _labels(batch, device), reduction="sum"))
    return total / len(select)


def _finish(
    folder: Path, base: str, name: str, network: Network, settings: Settings, spec: LoraSpec, losses: list[float]
) -> None:
    """Card and manifest beside the adapter; its version is the digest of its weights."""
    weights = (folder / "adapter_model.safetensors").read_bytes()
    card = {
        "base": base,
        "version": hashlib.sha256(weights).hexdigest()[:12],
        "implementation": network.implementation,
        "preprocessing": settings.models.preprocessing,
        "spec": asdict(spec),
        "select_log_loss": losses,
        "licence": "DINOv3 License, as the weights it adapts",
    }
    atomic_write_json(folder / CARD, card)
    hub.record(f"{LORA_PREFIX}{name}", folder)


def _check(train: Sequence[Example], select: Sequence[Example]) -> None:
    labels = {split: {one.label for one in some} for split, some in (("TRAIN", train), ("SELECT", select))}
    if labels["TRAIN"] != {0, 1} or not select or not labels["SELECT"] <= {0, 1}:
        raise DataError(
            got=f"labels {labels['TRAIN']} in TRAIN and {labels['SELECT']} in SELECT",
            allowed="both classes in TRAIN, at least one image in SELECT, and no unknown label",
            action="leave unlabelled images out, or label more",
        )
    groups = [one.group for one in (*train, *select)]
    check_no_leak(groups, [Split.TRAIN] * len(train) + [Split.SELECT] * len(select))
