"""Prompts as the validators write them: a caption of a real photo (BLIP-2), rewritten for a label (Llama 3.1).

Source: natixnetwork/streetvision-subnet, natix/synthetic_data_generation/prompt_generator.py.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any, Final

from streetvision_core.types import FailureMode, Frame

CAPTION_MODEL: Final = "Salesforce/blip2-opt-2.7b-coco"
REWRITE_MODEL: Final = "unsloth/Meta-Llama-3.1-8B-Instruct-bnb-4bit"
MOST_TOKENS: Final = 80
NO_CAPTION: Final = "Dashcam view of road scene."
REWRITE: Final = {
    1: "[INST]Enhance this dashcam footage description to include active roadwork. Start with 'Photorealistic dashcam "
    "footage' and ADD roadwork elements to the existing scene: orange traffic cones, construction barriers, "
    "construction vehicles, road crews in safety vests, lane closure signs, construction equipment, or construction "
    "zones. The scene MUST show active roadwork.[/INST]",
    0: "[INST]Rewrite as concise dashcam footage description. Focus on clear roads and regular traffic. Start with "
    "'Photorealistic dashcam footage' of normal road and keep factual.[/INST]",
}
MODE_WORDS: Final[dict[FailureMode, str]] = {
    "night": "at night, street lamps and headlights",
    "rain": "in heavy rain, wet reflecting road",
    "fog": "in dense fog",
    "glare": "against low sun with glare",
    "occlusion": "the view partly blocked by a truck",
    "far": "everything of interest far away down the road",
    "small": "everything of interest small in the picture",
    "unusual": "with an unusual construction machine",
}
"""Ours: the validators do not ask for conditions."""


class PromptWriter:
    """Captions photos and rewrites captions.

    Args:
        caption_folder: weights of BLIP-2.
        rewrite_folder: weights of an instruction-tuned language model.
        device: as in torch.
    """

    def __init__(self, caption_folder: Path, rewrite_folder: Path, device: str = "cpu") -> None:
        self.caption_folder, self.rewrite_folder, self.device = caption_folder, rewrite_folder, device

    def caption(self, frame: Frame) -> str:
        """What BLIP-2 says of a photo, without a prompt; a full stop at the end."""
        import torch

        processor, model = self._captioner
        inputs = processor(frame.pixels, return_tensors="pt").to(self.device, model.dtype)
        with torch.inference_mode():
            ids = model.generate(**inputs, max_new_tokens=MOST_TOKENS)
        text = str(processor.batch_decode(ids, skip_special_tokens=True)[0]).strip()
        if not text:
            return NO_CAPTION
        return text if text.endswith(".") else f"{text}."

    def rewrite(self, caption: str, label: int) -> str:
        """The caption with road work put in, or with clear roads; the caption itself where the model says nothing."""
        import torch

        tokenizer, model = self._rewriter
        messages = [{"role": "system", "content": REWRITE[label]}, {"role": "user", "content": caption}]
        inputs = tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
        ).to(self.device)
        with torch.inference_mode():
            ids = model.generate(**inputs, max_new_tokens=MOST_TOKENS, pad_token_id=tokenizer.eos_token_id)
        new = ids[0, inputs["input_ids"].shape[1] :]
        return str(tokenizer.decode(new, skip_special_tokens=True)).strip() or caption

    def write(self, frame: Frame, label: int, mode: FailureMode | None = None) -> str:
        """The prompt for an image of a label, after a photo, under a condition."""
        prompt = self.rewrite(self.caption(frame), label)
        return with_mode(prompt, mode)

    @cached_property
    def _captioner(self) -> tuple[Any, Any]:
        from transformers import Blip2ForConditionalGeneration, Blip2Processor

        processor = Blip2Processor.from_pretrained(str(self.caption_folder), local_files_only=True)
        model = Blip2ForConditionalGeneration.from_pretrained(
            str(self.caption_folder), local_files_only=True, dtype=_dtype(self.device)
        )
        return processor, model.to(self.device).eval()

    @cached_property
    def _rewriter(self) -> tuple[Any, Any]:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(str(self.rewrite_folder), local_files_only=True)
        model = AutoModelForCausalLM.from_pretrained(str(self.rewrite_folder), local_files_only=True)
        return tokenizer, model.to(self.device).eval()


def with_mode(prompt: str, mode: FailureMode | None) -> str:
    """Adds a condition.

    Example:
        >>> with_mode("Photorealistic dashcam footage of a road", "fog")
        'Photorealistic dashcam footage of a road, in dense fog'
    """
    return f"{prompt.rstrip('. ')}, {MODE_WORDS[mode]}" if mode is not None else prompt


def _dtype(device: str) -> Any:
    import torch

    return torch.float16 if device == "cuda" else torch.float32
