"""Trains the dense head on stored maps and writes it as ONNX."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import torch
from torch import Tensor

from streetvision_core.training.detectors._dense_net import DenseHead, box_loss, heat_loss
from streetvision_core.training.detectors._features import Shard, ShardSet


@dataclass(frozen=True, slots=True)
class DenseSettings:
    """How the dense head is trained.

    Attributes:
        steps: optimiser steps in all.
        batch: crops per step.
        learning_rate: the highest rate of the one-cycle schedule.
        weight_decay: of AdamW.
        box_weight: weight of the box loss beside the heat loss.
        seed: of weights and order.
        threads: torch threads.
    """

    steps: int = 3241
    batch: int = 16
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    box_weight: float = 2.0
    seed: int = 0
    threads: int = 1


Log = Callable[[dict[str, float]], None]
_LOG_EVERY: Final = 100


def train_dense(
    shards: Sequence[Shard], settings: DenseSettings, log: Log | None = None, weights: Sequence[float] | None = None
) -> DenseHead:
    """Trains a head on stored crops.

    Args:
        shards: from `write_shard`.
        settings: rates and lengths.
        log: called every hundred steps with mean losses and seconds per step.
        weights: how often a crop of each shard is drawn, beside the others; all alike if None.

    Returns:
        The head in evaluation mode: the moving average of its weights, which wobbles less than the last step.
    """
    torch.manual_seed(settings.seed)
    torch.set_num_threads(settings.threads)
    head = DenseHead().train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = torch.optim.swa_utils.AveragedModel(head, avg_fn=_blend, use_buffers=True)
    optimiser = torch.optim.AdamW(head.parameters(), settings.learning_rate, weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _one_cycle(step, settings.steps))
    sums, since = torch.zeros(2), time.perf_counter()
    for step, batch in enumerate(_loader(shards, settings, weights), 1):
        heat, box = _losses(head, batch)
        optimiser.zero_grad(set_to_none=True)
        loss = heat + settings.box_weight * box
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(head.parameters(), 10.0)
        optimiser.step()
        schedule.step()
        average.update_parameters(head)
        sums += torch.tensor([float(heat.detach()), float(box.detach())])
        if log is not None and (step % _LOG_EVERY == 0 or step == settings.steps):
            heat_mean, box_mean = (sums / ((step - 1) % _LOG_EVERY + 1)).tolist()
            log({"step": step, "heat": heat_mean, "box": box_mean, "seconds": time.perf_counter() - since})
            sums, since = torch.zeros(2), time.perf_counter()
    trained: Any = average.module
    return cast("DenseHead", trained.eval())


def _loader(shards: Sequence[Shard], settings: DenseSettings, weights: Sequence[float] | None) -> Any:
    each = [w for shard, w in zip(shards, weights or [1.0] * len(shards), strict=True) for _ in range(shard.count)]
    draws = torch.utils.data.WeightedRandomSampler(each, settings.steps * settings.batch)
    return torch.utils.data.DataLoader(ShardSet(shards), settings.batch, sampler=draws)


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
