"""Trains the dense head on stored maps and writes it as ONNX."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from streetvision_core.training.detectors._dense_net import STRIDE, DenseHead, box_loss, cell_centres, heat_loss
from streetvision_core.training.detectors._features import Shard, ShardSet


@dataclass(frozen=True, slots=True)
class DenseSettings:
    """How the dense head is trained.

    Attributes:
        epochs: passes over all crops.
        batch: crops per step.
        learning_rate: the highest rate of the one-cycle schedule.
        weight_decay: of AdamW.
        box_weight: weight of the box loss beside the heat loss.
        seed: of weights and order.
        threads: torch threads.
    """

    epochs: int = 8
    batch: int = 16
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    box_weight: float = 2.0
    seed: int = 0
    threads: int = 1


Log = Callable[[dict[str, float]], None]


def train_dense(
    shards: list[Shard], settings: DenseSettings, log: Log | None = None, start: DenseHead | None = None
) -> DenseHead:
    """Trains a head on stored crops.

    Args:
        shards: from `write_shard`.
        settings: rates and lengths.
        log: called after each epoch with its mean losses and seconds.
        start: a head to go on from; a fresh one otherwise.

    Returns:
        The head in evaluation mode: the moving average of its weights, which wobbles less than the last step.
    """
    torch.manual_seed(settings.seed)
    torch.set_num_threads(settings.threads)
    head = (start or DenseHead()).train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = torch.optim.swa_utils.AveragedModel(head, avg_fn=_blend, use_buffers=True)
    loader = torch.utils.data.DataLoader(ShardSet(shards), settings.batch, shuffle=True, drop_last=True)
    steps = settings.epochs * len(loader)
    optimiser = torch.optim.AdamW(head.parameters(), settings.learning_rate, weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _one_cycle(step, steps))
    for epoch in range(settings.epochs):
        began = time.perf_counter()
        sums = torch.zeros(2)
        for batch in loader:
            heat, box = _losses(head, batch)
            optimiser.zero_grad(set_to_none=True)
            (heat + settings.box_weight * box).backward()
            torch.nn.utils.clip_grad_norm_(head.parameters(), 10.0)
            optimiser.step()
            schedule.step()
            average.update_parameters(head)
            sums += torch.tensor([float(heat.detach()), float(box.detach())])
        if log is not None:
            means = (sums / len(loader)).tolist()
            log({"epoch": epoch, "heat": means[0], "box": means[1], "seconds": time.perf_counter() - began})
    trained: DenseHead = average.module
    return trained.eval()


def _blend(mean: Tensor, value: Tensor, count: Tensor | int) -> Tensor:
    """Moves the average towards the newest weights, at first quickly, so that it forgets the random start."""
    keep = min(0.998, (1 + int(count)) / (10 + int(count)))
    return keep * mean + (1 - keep) * value if mean.is_floating_point() else value


def _losses(head: DenseHead, batch: list[Tensor]) -> tuple[Tensor, Tensor]:
    maps = [m.float().contiguous(memory_format=torch.channels_last) for m in batch[:3]]
    heat, weight, boxes, box_weight = batch[3:]
    logits, sides = head(*maps)
    return heat_loss(logits, heat.float(), weight.float()), box_loss(sides, boxes, box_weight)


def _one_cycle(step: int, steps: int) -> float:
    warm = max(1, min(200, steps // 10))
    if step < warm:
        return (step + 1) / warm
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


class ExportHead(torch.nn.Module):
    """The head as it is shipped: scores in [0, 1] and corners in pixels of the network's input."""

    def __init__(self, head: DenseHead) -> None:
        super().__init__()
        self.head = head

    def forward(self, map8: Tensor, map16: Tensor, map32: Tensor) -> tuple[Tensor, Tensor]:
        """Scores [N, C, H/8, W/8] and log distances [N, 4, H/8, W/8]."""
        logits, sides = self.head(map8, map16, map32)
        return logits.sigmoid(), sides.clamp(-6, 6)


def export_dense(head: DenseHead, path: Path) -> None:
    """Writes the head as ONNX with weights stored in half precision, computing in single.

    Args:
        head: a trained head.
        path: the .onnx file.
    """
    from streetvision_core.training.detectors._onnx import store_half

    maps = (torch.zeros(1, 48, 8, 12), torch.zeros(1, 120, 4, 6), torch.zeros(1, 352, 2, 3))
    names = ["map8", "map16", "map32"]
    outputs = ["scores", "sides"]
    axes = {name: {0: "n", 2: f"h{name}", 3: f"w{name}"} for name in (*names, *outputs)}
    kwargs: dict[str, Any] = {"input_names": names, "output_names": outputs, "dynamic_axes": axes}
    torch.onnx.export(ExportHead(head).eval(), maps, str(path), dynamo=False, opset_version=17, **kwargs)
    store_half(path)


__all__ = ["STRIDE", "DenseSettings", "ExportHead", "cell_centres", "export_dense", "train_dense"]
