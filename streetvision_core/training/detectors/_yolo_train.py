"""Trains YOLO12-n from scratch with ultralytics' network and loss, and writes it as ONNX.

The loop is ours for three reasons: crops are made as they are needed, so no epoch repeats another; what an image
leaves unknown (`Sample.known`) silences the loss; and a run on two slow cores can stop and go on at any step.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from streetvision_core.training.detectors._onnx import store_half
from streetvision_core.training.detectors._samples import IGNORE, N_CLASSES, Sample

ARCHITECTURE: Final = "yolo12n.yaml"
_OFFLINE: Final = {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false"}


@dataclass(frozen=True, slots=True)
class YoloSettings:
    """How YOLO12-n is trained.

    Attributes:
        steps: optimiser steps in all.
        batch: crops per step.
        learning_rate: the highest rate; a warm-up and a half cosine around it.
        weight_decay: of AdamW.
        average: decay of the weights' moving average, reached gradually.
        save_every: steps between checkpoints.
        seed: of weights.
        threads: torch threads.
    """

    steps: int = 4000
    batch: int = 16
    learning_rate: float = 1.2e-3
    weight_decay: float = 5e-4
    average: float = 0.998
    save_every: int = 25
    seed: int = 0
    threads: int = 1


Log = Callable[[dict[str, float]], None]


def build_yolo(config_folder: Path) -> Any:
    """The network with our classes, random weights, no download.

    Args:
        config_folder: where ultralytics may keep its settings file.
    """
    os.environ.update(_OFFLINE, YOLO_CONFIG_DIR=str(config_folder))
    from ultralytics.cfg import get_cfg
    from ultralytics.nn.tasks import DetectionModel

    make: Any = DetectionModel
    model = make(ARCHITECTURE, nc=N_CLASSES, verbose=False)
    model.args = get_cfg()
    model.criterion = model.init_criterion()
    return model


def collate(views: Sequence[Sample]) -> dict[str, Tensor]:
    """A batch as ultralytics' loss wants it; ignored regions are painted over with the image's mean colour.

    Returns:
        img float32 [N, 3, H, W] in [0, 1]; batch_idx, cls [M]; bboxes [M, 4] centre and size in [0, 1];
        known [N, 1, C].
    """
    images, index, classes, boxes = [], [], [], []
    for i, view in enumerate(views):
        pixels = view.pixels.copy()
        height, width = pixels.shape[:2]
        for x0, y0, x1, y1 in view.corners[view.labels == IGNORE].astype(int):
            pixels[y0 : y1 + 1, x0 : x1 + 1] = pixels.mean(axis=(0, 1)).astype(np.uint8)
        images.append(torch.from_numpy(pixels).permute(2, 0, 1).float() / 255)
        told = view.labels != IGNORE
        corners = view.corners[told] / np.array([width, height, width, height], np.float32)
        boxes.append(np.concatenate([(corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]], axis=1))
        classes.append(view.labels[told])
        index.append(np.full(int(told.sum()), i))
    known = np.stack([view.known for view in views])[:, None, :]
    return {
        "img": torch.stack(images),
        "batch_idx": torch.from_numpy(np.concatenate(index)).float(),
        "cls": torch.from_numpy(np.concatenate(classes)).float(),
        "bboxes": torch.from_numpy(np.concatenate(boxes)).float(),
        "known": torch.from_numpy(known).float(),
    }


def train_yolo(
    batches: Iterator[Sequence[Sample]],
    settings: YoloSettings,
    folder: Path,
    log: Log | None = None,
    deadline: float | None = None,
) -> Any:
    """Trains, going on from the folder's checkpoint if there is one.

    Args:
        batches: endless batches of crops.
        settings: rates and lengths.
        folder: holds checkpoint.pt while training runs.
        log: called every ten steps with mean losses and seconds per step.
        deadline: `time.monotonic()` at which to stop; the rate's fall is laid out to end there.

    Returns:
        the averaged model in evaluation mode.
    """
    torch.manual_seed(settings.seed)
    torch.set_num_threads(settings.threads)
    folder.mkdir(parents=True, exist_ok=True)
    run = _Run(build_yolo(folder), settings, folder / "checkpoint.pt")
    began, first = time.monotonic(), run.step
    sums, count, since = torch.zeros(3), 0, time.monotonic()
    while run.step < settings.steps:
        done = run.step / settings.steps
        if deadline is not None:
            if time.monotonic() >= deadline:
                break
            share = (time.monotonic() - began) / max(1.0, deadline - began)
            done = max(done, (first / settings.steps) + (1 - first / settings.steps) * share)
        sums += run.advance(collate(next(batches)), done)
        count += 1
        if log is not None and run.step % 10 == 0:
            box, cls, dfl = (sums / count).tolist()
            pace = (time.monotonic() - since) / count
            log({"step": run.step, "box": box, "cls": cls, "dfl": dfl, "seconds": pace, "done": done})
            sums, count, since = torch.zeros(3), 0, time.monotonic()
        if run.step % settings.save_every == 0:
            run.save()
    run.save()
    return run.average.module.eval()


class _Run:
    """Model, moving average and optimiser of one training run."""

    def __init__(self, model: Any, settings: YoloSettings, checkpoint: Path) -> None:
        self.model = model.train().to(memory_format=torch.channels_last)
        self.settings = settings
        self.checkpoint = checkpoint
        self.step = 0
        decayed = [p for p in model.parameters() if p.ndim > 1]
        plain = [p for p in model.parameters() if p.ndim <= 1]
        groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": plain, "weight_decay": 0.0}]
        self.optimiser = torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(0.9, 0.99))
        self.average = torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=self._blend, use_buffers=True)
        if checkpoint.is_file():
            held = torch.load(checkpoint, weights_only=True)
            self.model.load_state_dict(held["model"])
            self.average.load_state_dict(held["average"])
            if "optimiser" in held:
                self.optimiser.load_state_dict(held["optimiser"])
            self.step = int(held["step"])

    def advance(self, batch: dict[str, Tensor], done: float) -> Tensor:
        """One step; returns the three losses."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.settings.learning_rate * self._rate(done)
        self.model.criterion.class_weights = batch.pop("known")
        batch["img"] = batch["img"].contiguous(memory_format=torch.channels_last)
        losses, parts = self.model.loss(batch)
        self.optimiser.zero_grad(set_to_none=True)
        (losses.sum() / len(batch["img"])).backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 10.0)
        self.optimiser.step()
        self.step += 1
        self.average.update_parameters(self.model)
        return torch.stack([parts[k].float() for k in ("box_loss", "cls_loss", "dfl_loss")])

    def save(self) -> None:
        """Writes a checkpoint that a later run goes on from."""
        held = {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
        }
        new = self.checkpoint.with_suffix(".new")
        torch.save(held, new)
        new.replace(self.checkpoint)

    def _rate(self, done: float) -> float:
        warm = min(1.0, (self.step + 1) / 100)
        return warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, done))))

    def _blend(self, averages: Any, values: Any, _count: Any) -> None:
        keep = self.settings.average * (1 - math.exp(-self.step / 200))
        for mean, value in zip(averages, values, strict=True):
            if mean.is_floating_point():
                mean.mul_(keep).add_(value, alpha=1 - keep)
            else:
                mean.copy_(value)


def export_yolo(model: Any, path: Path, width: int, height: int) -> None:
    """Writes the network as ONNX: images [N, 3, H, W] in [0, 1] to [N, 4 + C, A] (centre, size in pixels, scores).

    Args:
        model: what `train_yolo` returns.
        path: the .onnx file.
        width: of the input, pixels, a multiple of 32.
        height: of the input, pixels, a multiple of 32.
    """
    for module in model.modules():
        if hasattr(module, "export"):
            module.export, module.format, module.dynamic = True, "onnx", False
    model.eval()
    image = torch.zeros(1, 3, height, width)
    names: dict[str, Any] = {"input_names": ["images"], "output_names": ["detections"]}
    axes = {"images": {0: "n"}, "detections": {0: "n"}}
    torch.onnx.export(model, (image,), str(path), dynamo=False, opset_version=17, dynamic_axes=axes, **names)
    store_half(path)
