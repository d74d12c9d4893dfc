"""What adapters of transformers models share: on which device, in which precision, and how they load."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from streetvision_core.errors import ModelError, install_command
from streetvision_core.settings import Settings


def device_of(settings: Settings) -> str:
    """`cuda` or `cpu`, as the settings say; `auto` takes a GPU where there is one."""
    import torch

    wanted = settings.models.device
    return wanted if wanted != "auto" else "cuda" if torch.cuda.is_available() else "cpu"


def precision_of(settings: Settings, device: str) -> str:
    """`fp32`, `fp16` or `bf16`, as the settings say; `auto` is bf16 on a GPU and fp32 on a CPU."""
    wanted = settings.models.precision
    return wanted if wanted != "auto" else "fp32" if device == "cpu" else "bf16"


def dtype_of(precision: str) -> Any:
    """The torch dtype of a precision."""
    import torch

    return {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[precision]


def load_pretrained(
    model_class: Any, processor_class: Any, folder: Path, *, name: str, device: str, precision: str, **options: Any
) -> tuple[Any, Any]:
    """A transformers model in evaluation mode and its processor, from local safetensors and without foreign code.

    Args:
        model_class: with `from_pretrained`.
        processor_class: the same.
        folder: a checkpoint.
        name: for messages.
        device: `cpu` or `cuda`.
        precision: `fp32`, `fp16` or `bf16`.
        options: further arguments of `model_class.from_pretrained`.

    Raises:
        ModelError: files are missing, do not belong together, or are packed in a way that cannot be read here.
    """
    if device != "cpu":
        options = {"device_map": {"": device}, **options}
    try:
        options = {**_unpacking(folder), **options}
        processor = processor_class.from_pretrained(folder, local_files_only=True)
        model = model_class.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, dtype=dtype_of(precision), **options
        )
    except ImportError as error:  # transformers asks for the package that unpacks the weights
        raise ModelError(
            got=f"{folder.name}: {first_line(error)}",
            allowed="a checkpoint in 16 bit, or in 4 bit of compressed-tensors with the extra 'gpu' installed",
            action=f"run: {install_command('gpu')}; serve other packings with vLLM and set vlm.backend to server",
            name=name,
        ) from error
    except (OSError, ValueError, KeyError, RuntimeError, TypeError) as error:
        raise ModelError(
            got=f"{folder.name}: {first_line(error)}",
            allowed="a checkpoint with config, safetensors, processor and tokenizer files that belong together",
            action=f"run: streetvision models verify {name}",
            name=name,
        ) from error
    return model.eval(), processor


def _unpacking(folder: Path) -> dict[str, Any]:
    """For 4-bit copies of compressed-tensors: their weights become 16 bit as they load.

    Left packed, they would at the first forward pass, and checkpoints with zero points would not load at all:
    transformers 5.23 compares the packed ones with their unpacked shape.
    """
    noted = json.loads((folder / "config.json").read_text()).get("quantization_config") or {}
    if noted.get("quant_method") != "compressed-tensors":
        return {}
    from transformers import CompressedTensorsConfig

    return {"quantization_config": CompressedTensorsConfig(dequantize=True)}


def first_line(error: BaseException) -> str:
    """The first line of an error's text, cut to a readable length."""
    text = str(error).strip()
    return text.splitlines()[0][:300] if text else type(error).__name__
