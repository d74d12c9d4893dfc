"""Image-text models in 4 bit, in an environment of their own.

    python -m venv .venv-quantize && .venv-quantize/bin/pip install -r envs/quantize.txt
    PYTHONPATH=. .venv-quantize/bin/python -m streetvision_core.compression.awq MODEL OUT --images FOLDER

The living path is llm-compressor (W4A16 in groups of 128, compressed-tensors files that vLLM and transformers load). It
knows no mappings for GLM-4V and Molmo2, so they stand here. `--tool autoawq` is the path the original plan names
(envs/awq.txt): AutoAWQ is no longer maintained and knows neither model. Vision tower, embeddings and the last layer
stay in 16 bit. A copy is used only after the check of `compression.check` on held-out frames.

This module imports nothing but the standard library until it works, so that it runs in those environments.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from streetvision_core.errors import MissingExtraError, ModelError, StreetVisionError
from streetvision_core.models.vlm.prompts import QUESTION, message

SCHEME: Final = "W4A16_ASYM"
GROUP: Final = 128
KEPT: Final = ("lm_head", "re:.*visual.*", "re:.*vision_tower.*", "re:.*multi_modal_projector.*")
_LAYERS: Final = r"re:.*language_model\.layers\.\d+\."
Mappings = tuple[tuple[str, tuple[str, ...]], ...]
"""(layer whose output is smoothed, layers that read it)."""

MAPPINGS: Final[Mapping[str, Mappings]] = MappingProxyType(
    {
        # Gate and up are one layer, whose halves do different things: its output cannot be smoothed. Queries share keys
        # and values in groups, so values and the output projection have no common channels either.
        "glm4v": (
            (f"{_LAYERS}input_layernorm$", tuple(f"{_LAYERS}self_attn.{p}_proj$" for p in "qkv")),
            (f"{_LAYERS}post_attention_layernorm$", (f"{_LAYERS}mlp.gate_up_proj$",)),
        ),
        "molmo2": (
            (f"{_LAYERS}input_layernorm$", tuple(f"{_LAYERS}self_attn.{p}_proj$" for p in "qkv")),
            (f"{_LAYERS}post_attention_layernorm$", (f"{_LAYERS}mlp.gate_proj$", f"{_LAYERS}mlp.up_proj$")),
            (f"{_LAYERS}mlp.up_proj$", (f"{_LAYERS}mlp.down_proj$",)),
        ),
    }
)
"""By `model_type` of the checkpoint's config."""


def mappings_of(folder: Path) -> Mappings:
    """The mappings of a checkpoint.

    Raises:
        ModelError: no config, a model for which none are known, or layers that cannot be cut into groups.
    """
    try:
        config = json.loads((folder / "config.json").read_text())
        kind = str(config["model_type"])
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"{folder} without a readable config.json", "a checkpoint's folder", "name one") from error
    if kind not in MAPPINGS:
        raise ModelError(
            got=f"a model of type {kind!r}",
            allowed=", ".join(MAPPINGS),
            action="add its layers to MAPPINGS; compare them with model.named_modules()",
            model_type=kind,
        )
    text = config.get("text_config") or {}
    if odd := {name: text[name] for name in ("hidden_size", "intermediate_size") if text.get(name, 0) % GROUP}:
        raise ModelError(
            got=f"{folder.name} with {', '.join(f'{name} {width}' for name, width in odd.items())}",
            allowed=f"widths that are multiples of {GROUP}, the weights that share a scale",
            action="serve it in 16 bit",
        )
    return MAPPINGS[kind]


def llm_compressor(folder: Path, out: Path, images: Sequence[Path]) -> None:
    """AWQ by llm-compressor.

    Raises:
        MissingExtraError: not the quantising environment.
        ModelError: no mappings, nothing to calibrate on, or a model that this transformers does not know.
    """
    layers = mappings_of(folder)
    if not images:
        raise ModelError("no image to calibrate on", "a folder of CALIBRATE frames", "name one with --images")
    try:
        from llmcompressor import oneshot
        from llmcompressor.modifiers.quantization import QuantizationModifier
        from llmcompressor.modifiers.transform.awq import AWQMapping, AWQModifier
        from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor
    except ImportError as error:
        raise _wrong_environment("llmcompressor", "quantize") from error
    try:
        AutoConfig.from_pretrained(folder, local_files_only=True)
    except ValueError as error:
        raise ModelError(
            got=f"{folder.name}: {str(error).splitlines()[0]}",
            allowed="a model known to the transformers of envs/quantize.txt, which is too old for Molmo2",
            action="serve it in 16 bit, or in this process with vlm.four_bit",
        ) from error
    processor = AutoProcessor.from_pretrained(folder, local_files_only=True)
    model = AutoModelForImageTextToText.from_pretrained(folder, local_files_only=True, dtype="auto")
    recipe = [
        AWQModifier(duo_scaling="both", mappings=[AWQMapping(smooth, list(read)) for smooth, read in layers]),
        QuantizationModifier(targets=["Linear"], scheme=SCHEME, ignore=list(KEPT)),
    ]
    _pin_only_for_an_accelerator()
    oneshot(
        model=model,
        processor=processor,
        dataset=_questions(processor, images),
        recipe=recipe,
        num_calibration_samples=len(images),
        data_collator=lambda batch: batch[0],
    )
    model.save_pretrained(out, save_compressed=True)
    processor.save_pretrained(out)


def auto_awq(folder: Path, out: Path, texts: Sequence[Path]) -> None:
    """AWQ by AutoAWQ, for the language models it knows.

    Args:
        folder: the 16-bit checkpoint.
        out: the copy.
        texts: files to calibrate on, a sample a line; none: AutoAWQ fetches a part of the Pile from the hub.

    Raises:
        MissingExtraError: not the environment of envs/awq.txt.
        ModelError: a model AutoAWQ does not know, or no texts.
    """
    try:
        from awq import AutoAWQForCausalLM
        from transformers import AutoTokenizer
    except ImportError as error:
        raise _wrong_environment("awq", "awq") from error
    try:
        model = AutoAWQForCausalLM.from_pretrained(str(folder), safetensors=True)
    except (TypeError, ValueError) as error:  # of AutoAWQ, and of its transformers, for a model type it does not know
        raise ModelError(
            got=f"{folder.name}: {str(error).splitlines()[0]}",
            allowed="a model that AutoAWQ 0.2.9 knows; GLM-4.6V and Molmo2 are not among them",
            action="use --tool llm-compressor",
        ) from error
    tokenizer = AutoTokenizer.from_pretrained(str(folder))
    config = {"zero_point": True, "q_group_size": 128, "w_bit": 4, "version": "GEMM"}
    samples = [line for path in texts for line in path.read_text().splitlines() if line.strip()]
    try:
        model.quantize(tokenizer, quant_config=config, calib_data=samples or "pileval")
    except ConnectionError as error:
        raise ModelError(
            got=f"no text to calibrate on: {str(error).splitlines()[0]}",
            allowed="a text file, or a way to the hub, where AutoAWQ's own texts lie",
            action="name one with --texts",
        ) from error
    model.save_quantized(str(out))
    tokenizer.save_pretrained(str(out))


TOOLS: Final[Mapping[str, Callable[[Path, Path, Sequence[Path]], None]]] = MappingProxyType(
    {"llm-compressor": llm_compressor, "autoawq": auto_awq}
)


def _questions(processor: Any, images: Sequence[Path]) -> Any:
    """The question that will be asked, about each image, as the model takes it."""
    from datasets import Dataset
    from PIL import Image

    def ask(row: dict[str, str]) -> dict[str, Any]:
        image = {"type": "image", "image": Image.open(row["path"]).convert("RGB")}
        return dict(
            processor.apply_chat_template(
                message([image], QUESTION), tokenize=True, add_generation_prompt=True, return_dict=True,
                return_tensors="pt",
            )
        )  # fmt: skip

    return (
        Dataset.from_dict({"path": [str(path) for path in images]}).map(ask, remove_columns=["path"]).with_format("pt")
    )


def _pin_only_for_an_accelerator() -> None:
    """Lets llm-compressor's search run where there is no accelerator.

    It pins the activations it keeps, so that a GPU fetches them faster; torch cannot pin without one ("Found no NVIDIA
    driver on your system"), and llm-compressor 0.14 has no switch for it. The method is exchanged for the rest of the
    process, which makes one copy and ends.
    """
    import torch
    from llmcompressor.pipelines.cache import IntermediatesCache

    if not torch.accelerator.is_available():
        IntermediatesCache.pin_memory = lambda *_: None


def _wrong_environment(package: str, name: str) -> MissingExtraError:
    error = MissingExtraError(package, name)
    error.allowed = f"the environment of envs/{name}.txt, which cannot live with the main one"
    error.action = (
        f"run: python -m venv .venv-{name} && .venv-{name}/bin/pip install -r envs/{name}.txt, and use its python"
    )
    error.args = (f"got {error.got}; allowed: {error.allowed}; do: {error.action}",)
    return error


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 0 when a copy was written, 1 with a named error on stderr."""
    parser = argparse.ArgumentParser(prog="python -m streetvision_core.compression.awq", description=__doc__)
    parser.add_argument("model", type=Path, help="folder of the 16-bit checkpoint")
    parser.add_argument("out", type=Path, help="folder of the 4-bit copy")
    parser.add_argument("--images", type=Path, help="folder of CALIBRATE frames (JPEG or PNG)")
    parser.add_argument("--texts", type=Path, help="for autoawq: a text file to calibrate on, a sample a line")
    parser.add_argument("--samples", type=int, default=64, help="at most so many frames (default 64)")
    parser.add_argument("--tool", choices=sorted(TOOLS), default="llm-compressor")
    given = parser.parse_args(arguments)
    found = (
        sorted(p for p in given.images.rglob("*") if p.suffix.lower() in (".jpg", ".jpeg", ".png"))
        if given.images
        else []
    )
    texts = [given.texts] if given.texts else []
    try:
        TOOLS[given.tool](given.model, given.out, texts if given.tool == "autoawq" else found[: given.samples])
    except StreetVisionError as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return 1
    sys.stderr.write(f"wrote {given.out}; check it on held-out frames before it serves\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
