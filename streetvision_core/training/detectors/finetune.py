"""Fine-tunes RF-DETR and YOLO with their own training code, and leaves safetensors and a card that the adapters read.

The packages' public weights are pickles from their makers' servers; they are read here, in training, at the user's
word, and nowhere else.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import yaml

from streetvision_core.errors import DataError, MissingExtraError
from streetvision_core.models import hub
from streetvision_core.models.detectors import rfdetr, yolo
from streetvision_core.models.detectors.card import WEIGHTS, DetectorCard
from streetvision_core.models.detectors.meaning import meaning_of
from streetvision_core.models.torch_models import device_of
from streetvision_core.settings import Settings
from streetvision_core.storage import atomic_write_bytes

_LICENCES: Final = {"rfdetr": "Apache-2.0", "yolo": "AGPL-3.0"}


@dataclass(frozen=True, slots=True)
class FineTuned:
    """What came of a fine-tuning.

    Attributes:
        name: the name to put into `models.detectors`.
        folder: where its weights and card lie.
        classes: in the order of its outputs.
        seconds: wall time of the training.
    """

    name: str
    folder: Path
    classes: tuple[str, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long and how large.

    Attributes:
        epochs: passes over the training images.
        batch: images a step.
        resolution: side of the network's input in pixels; 0 takes the network's own.
        workers: processes that read images; 0 reads in this one.
    """

    epochs: int = 30
    batch: int = 8
    resolution: int = 0
    workers: int = 2


def finetune_rfdetr(
    dataset: Path,
    name: str,
    settings: Settings,
    *,
    size: str = "medium",
    start: str | None = None,
    schedule: Schedule | None = None,
    trained_on: str = "",
    config: dict[str, Any] | None = None,
) -> FineTuned:
    """Fine-tunes RF-DETR on a folder in COCO's layout (`train`, `valid`, each with `_annotations.coco.json`).

    Args:
        dataset: the folder.
        name: the detector becomes this name in the folder of big models, e.g. `rfdetr-medium`.
        settings: for device and folders.
        size: `nano`, `small`, `medium` or `large`.
        start: the package's checkpoint to start from, e.g. `rf-detr-medium.pth`; None starts from random numbers.
        schedule: how long and how large.
        trained_on: what stands in the card.
        config: other arguments of the network.

    Raises:
        DataError: the folder is not in that layout.
        DetectorClassesError: its classes are not of road work.
        MissingExtraError: rfdetr or its training parts are not installed.
    """
    schedule, classes = schedule or Schedule(), coco_classes(dataset)
    meaning_of(classes, f"the data set {dataset.name}")
    shape = {"resolution": schedule.resolution} if schedule.resolution else {}
    if shape:
        shape["positional_encoding_size"] = schedule.resolution // 16
    card = DetectorCard(size, classes, "untrained", {**shape, **(config or {})}, trained_on, (), _LICENCES["rfdetr"])
    device = device_of(settings)
    model = rfdetr.build(card, device, start)
    work = hub.root(settings) / ".training" / name
    started = time.monotonic()
    try:
        model.train(
            dataset_dir=str(dataset),
            output_dir=str(work),
            epochs=schedule.epochs,
            batch_size=schedule.batch,
            num_workers=schedule.workers,
            device=device,
            tensorboard=False,
        )
    except ImportError as error:
        raise MissingExtraError(error.name or "pytorch_lightning", "finetune") from error
    seconds = time.monotonic() - started
    return _save(model.model.model.state_dict(), card, name, settings, seconds)


def finetune_yolo(
    dataset: Path,
    name: str,
    settings: Settings,
    *,
    network: str = "yolo12x",
    start: str | None = None,
    schedule: Schedule | None = None,
    trained_on: str = "",
) -> FineTuned:
    """Fine-tunes YOLO12 or YOLO26 on a folder in YOLO's layout (`data.yaml`, `images`, `labels`).

    Args:
        dataset: the folder.
        name: the detector becomes this name in the folder of big models, e.g. `yolo12x`.
        settings: for device and folders.
        network: which network, e.g. `yolo12x` or `yolo26x`.
        start: the package's checkpoint to start from, e.g. `yolo12x.pt`; None starts from random numbers.
        schedule: how long and how large.
        trained_on: what stands in the card.

    Raises:
        DataError: the folder is not in that layout.
        DetectorClassesError: its classes are not of road work.
        MissingExtraError: ultralytics is not installed.
    """
    schedule, classes = schedule or Schedule(), yolo_classes(dataset)
    meaning_of(classes, f"the data set {dataset.name}")
    side = schedule.resolution or yolo.DEFAULT_SIDE
    card = DetectorCard(network, classes, "untrained", {"resolution": side}, trained_on, (), _LICENCES["yolo"])
    for key, value in yolo.QUIET.items():
        os.environ.setdefault(key, value)
    try:
        import ultralytics
    except ImportError as error:
        raise MissingExtraError("ultralytics", "detectors") from error
    package: Any = ultralytics
    package.settings.update(sync=False, mlflow=False, raytune=False, tensorboard=False)
    trainer = package.YOLO(start or f"{network}.yaml")
    started = time.monotonic()
    trainer.train(
        data=str(dataset / "data.yaml"),
        epochs=schedule.epochs,
        batch=schedule.batch,
        imgsz=side,
        workers=schedule.workers,
        device=device_of(settings),
        project=str(hub.root(settings) / ".training"),
        name=name,
        exist_ok=True,
        plots=False,
        amp=device_of(settings) != "cpu",
        pretrained=bool(start),
        verbose=False,
    )
    return _save(trainer.model.float().state_dict(), card, name, settings, time.monotonic() - started)


def coco_classes(dataset: Path) -> tuple[str, ...]:
    """The classes of a folder in COCO's layout, in the order of their ids.

    Raises:
        DataError: it is not in that layout.
    """
    try:
        data = json.loads((dataset / "train" / "_annotations.coco.json").read_text())
        return tuple(str(one["name"]) for one in sorted(data["categories"], key=lambda one: int(one["id"])))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _layout(dataset, "train/_annotations.coco.json and valid/_annotations.coco.json", error) from error


def yolo_classes(dataset: Path) -> tuple[str, ...]:
    """The classes of a folder in YOLO's layout, in order.

    Raises:
        DataError: it is not in that layout.
    """
    try:
        names = yaml.safe_load((dataset / "data.yaml").read_text())["names"]
        return tuple(str(names[i]) for i in (sorted(names) if isinstance(names, dict) else range(len(names))))
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise _layout(dataset, "data.yaml with names, train and val", error) from error


def _save(state: dict[str, Any], card: DetectorCard, name: str, settings: Settings, seconds: float) -> FineTuned:
    from safetensors.torch import save

    folder = hub.folder_of(name, settings)
    data = save({key: tensor.detach().cpu().contiguous().clone() for key, tensor in state.items()})
    atomic_write_bytes(folder / WEIGHTS, data)
    replace(card, version=hashlib.sha256(data).hexdigest()[:12]).write(folder)
    hub.record(name, folder)
    return FineTuned(name, folder, card.classes, round(seconds, 1))


def _layout(dataset: Path, wanted: str, error: Exception) -> DataError:
    return DataError(
        got=f"{dataset}: {type(error).__name__} {error}",
        allowed=f"a folder with {wanted}",
        action="write one with training.detectors.folders.write_coco or write_yolo",
        path=str(dataset),
    )
