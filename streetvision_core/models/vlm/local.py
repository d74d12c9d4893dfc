"""Image-text models in this process, through transformers.

The classes behind the checkpoints are `Glm4vForConditionalGeneration` and `Molmo2ForConditionalGeneration`; both are
found through `AutoModelForImageTextToText`, with no code from the checkpoint's folder.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np

from streetvision_core.errors import MissingExtraError, VlmError
from streetvision_core.models.hub import resolve
from streetvision_core.models.torch_models import (
    device_of,
    dtype_of,
    first_line,
    load_pretrained,
    precision_of,
)
from streetvision_core.models.vlm.answers import NO, YES, AnswerReader, Position, YesNo
from streetvision_core.models.vlm.images import to_side
from streetvision_core.models.vlm.prompts import EXPLAIN, message, question_for
from streetvision_core.models.vlm.residency import Residency
from streetvision_core.settings import Settings
from streetvision_core.types import Frame, Pixels

BATCH: Final = 8
WORKING_BYTES: Final = 2 * 2**30
"""Activations and KV cache of one batch of images beside the weights; `plan-memory` computes it in detail."""
EXPLAIN_TOKENS: Final = 96
FOUR_BIT_KEEPS: Final = ["lm_head", "model.visual", "model.vision_tower", "model.multi_modal_projector"]
"""Parts that stay in 16 bit: small, and what they lose is seen at once."""


@dataclass(frozen=True, slots=True, eq=False)
class _Loaded:
    model: Any
    processor: Any
    words: Mapping[int, str]
    """Token ids of yes and no in every spelling that is one token."""
    template: Mapping[str, bool]
    """What the chat template is told: no thinking, where it knows of it."""


class LocalVlm:
    """A model in this process, loaded at its first question.

    Args:
        name: in the profile.
        folder: a checkpoint: config, safetensors, processor and tokenizer files.
        residency: the memory it shares with others.
        device: `cpu` or `cuda`.
        precision: `fp32`, `fp16` or `bf16`.
        four_bit: weights of the language model in 4 bit (bitsandbytes nf4).
        max_side_pixels: larger images are made smaller.
        min_mass: least P(yes) + P(no) that counts as an answer.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        residency: Residency,
        *,
        device: str = "cpu",
        precision: str = "fp32",
        four_bit: bool = False,
        max_side_pixels: int = 1024,
        min_mass: float = 0.05,
    ) -> None:
        self.name, self.folder = name, folder
        self._residency = residency
        self._device, self._precision, self._four_bit = device, precision, four_bit
        self._max_side_pixels = max_side_pixels
        self._reader = AnswerReader(min_mass)
        self._bytes = _stored_bytes(folder) // (3 if four_bit else 1) + (WORKING_BYTES if device == "cuda" else 0)

    @classmethod
    def from_settings(cls, name: str, settings: Settings) -> LocalVlm:
        """The model a profile names, from the local folder of models."""
        if find_spec("transformers") is None:  # the server's adapter has the same name and does not need it
            raise MissingExtraError("transformers", "gpu")
        chosen = settings.vlm
        device = device_of(settings)
        return cls(
            name,
            resolve(name, settings),
            shared_residency(device, chosen.memory_gib),
            device=device,
            precision=precision_of(settings, device),
            four_bit=chosen.four_bit,
            max_side_pixels=chosen.max_side_pixels,
            min_mass=chosen.min_mass,
        )

    def answer(self, frames: Sequence[Frame], question: str | None = None) -> YesNo:
        """See `Vlm.answer`."""
        return self._answers([list(frames)], question_for(len(frames), question))[0]

    def answer_each(self, frames: Sequence[Frame], question: str | None = None) -> list[YesNo]:
        """See `Vlm.answer_each`; eight images share a forward pass."""
        if not frames:
            return []
        text, alone = question_for(1, question), [[frame] for frame in frames]
        return [found for i in range(0, len(alone), BATCH) for found in self._answers(alone[i : i + BATCH], text)]

    def explain(self, frames: Sequence[Frame], question: str | None = None) -> str:
        """See `Vlm.explain`."""
        question_for(len(frames), question)
        with self._use() as loaded:
            ids = self._generate(loaded, [list(frames)], question or EXPLAIN, EXPLAIN_TOKENS).sequences
            return str(loaded.processor.tokenizer.decode(ids[0], skip_special_tokens=True)).strip()

    def _answers(self, batch: list[list[Frame]], text: str) -> list[YesNo]:
        with self._use() as loaded:
            return self._reader.read(lambda tokens: self._positions(loaded, batch, text, tokens))

    def _positions(self, loaded: _Loaded, batch: list[list[Frame]], text: str, tokens: int) -> list[list[Position]]:
        import torch

        made = self._generate(loaded, batch, text, tokens)
        logprobs = torch.stack(made.logits, dim=1).float().log_softmax(-1).cpu()  # [batch, tokens, vocabulary]
        ids = made.sequences.tolist()
        return [
            [_position(loaded, row[place], ids[i][place]) for place in range(row.shape[0])]
            for i, row in enumerate(logprobs)
        ]

    def _generate(self, loaded: _Loaded, batch: list[list[Frame]], text: str, tokens: int) -> Any:
        """Greedy tokens after the prompt: `sequences` [batch, tokens] and the `logits` of each place."""
        import torch

        turns = [
            message([image_part(frame.pixels, self._max_side_pixels) for frame in frames], text) for frames in batch
        ]
        try:
            inputs = loaded.processor.apply_chat_template(
                turns, tokenize=True, add_generation_prompt=True, return_dict=True, return_tensors="pt",
                processor_kwargs={"padding": True}, **loaded.template,
            ).to(loaded.model.device)  # fmt: skip
            for name in ("pixel_values", "pixel_values_videos"):
                if name in inputs:
                    inputs[name] = inputs[name].to(loaded.model.dtype)
            inputs.pop("token_type_ids", None)
            with torch.inference_mode():
                made = loaded.model.generate(
                    **inputs, max_new_tokens=tokens, do_sample=False, output_logits=True, return_dict_in_generate=True
                )
        except (RuntimeError, ValueError, IndexError, KeyError, TypeError) as error:
            raise VlmError(
                got=f"{self.name} failed: {type(error).__name__}: {first_line(error)}",
                allowed="a checkpoint whose processor and weights belong together, and enough memory",
                action="run: streetvision plan-memory; set vlm.four_bit, a smaller vlm.max_side_pixels or a server",
                name=self.name,
            ) from error
        made.sequences = made.sequences[:, inputs["input_ids"].shape[1] :]
        return made

    def _use(self) -> Any:
        return self._residency.use(str(self.folder), self._bytes, self._load)

    def _load(self) -> _Loaded:
        from transformers import AutoModelForImageTextToText, AutoProcessor

        model, processor = load_pretrained(
            AutoModelForImageTextToText,
            AutoProcessor,
            self.folder,
            name=self.name,
            device=self._device,
            precision=self._precision,
            **(_four_bit(self._precision) if self._four_bit else {}),
        )
        if self._four_bit:
            _unpack_alike_on_every_cpu(model)
        words = processor.tokenizer
        words.padding_side = "left"  # the answer stands at the end of every row
        spelled = {i: text for text in _spellings() if (i := _one_token(words, text)) is not None}
        thinks = "enable_thinking" in str(processor.chat_template)
        return _Loaded(model, processor, spelled, {"enable_thinking": False} if thinks else {})


def _four_bit(precision: str) -> dict[str, Any]:
    from transformers import BitsAndBytesConfig

    how = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_compute_dtype=dtype_of(precision),
        llm_int8_skip_modules=FOUR_BIT_KEEPS,
    )
    return {"quantization_config": how}


def _unpack_alike_on_every_cpu(model: Any) -> None:
    """Keeps bitsandbytes' 4-bit layers on the path that every x86-64 has.

    On a CPU with AVX-512 BF16, bitsandbytes 0.50 packs a layer's weights again at its first question. That fails unless
    its rows are a multiple of the block (`shape '[64, 1]' is invalid for input of size 96`), and it rounds scales and
    inputs to bf16, so that one checkpoint would answer differently on two machines.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False


@cache
def shared_residency(device: str, memory_gib: float | None) -> Residency:
    """The memory that all models of this process share on one device.

    Args:
        device: `cpu` or `cuda`.
        memory_gib: for image-text models; None: what the device has free when one is to be loaded.
    """
    made = Residency(lambda: int(memory_gib * 2**30) if memory_gib is not None else _free_bytes(device) + made.bytes)
    return made


def _free_bytes(device: str) -> int:
    import torch

    if device == "cuda" and torch.cuda.is_available():
        return int(torch.cuda.mem_get_info()[0])
    import psutil

    return int(psutil.virtual_memory().available)


def _stored_bytes(folder: Path) -> int:
    """Of the weights once they are loaded: eight values packed into four bytes take sixteen then."""
    total = 0
    for path in folder.glob("*.safetensors"):
        total += path.stat().st_size
        with path.open("rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        for name, tensor in header.items():
            if name.endswith(".weight_packed"):
                start, end = tensor["data_offsets"]
                total += 3 * (end - start)
    return total


def _spellings() -> list[str]:
    return [f"{space}{word}" for word in (*YES, *NO) for space in ("", " ")]


def _one_token(words: Any, text: str) -> int | None:
    ids = words.encode(text, add_special_tokens=False)
    return int(ids[0]) if len(ids) == 1 else None


def _position(loaded: _Loaded, logprobs: Any, token: int) -> Position:
    text = str(loaded.processor.tokenizer.decode([token]))
    return Position(text, {word: float(logprobs[i]) for i, word in loaded.words.items()})


def image_part(pixels: Pixels, max_side: int) -> dict[str, Any]:
    """An image as a chat template of transformers takes it, its longer side at most `max_side` pixels."""
    from PIL import Image

    return {"type": "image", "image": Image.fromarray(np.ascontiguousarray(to_side(pixels, max_side)))}
