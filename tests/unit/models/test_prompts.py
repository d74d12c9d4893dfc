"""BLIP-2 and Llama, as the validators chain them: the real classes on tiny random weights, loaded from a folder."""

import numpy as np
import pytest

from streetvision_core.models.prompts import MOST_TOKENS, NO_CAPTION, REWRITE, PromptWriter
from streetvision_core.types import Frame

pytestmark = pytest.mark.slow
FRAMES = [
    Frame.from_pixels(np.random.default_rng(i).integers(0, 255, (40, 60, 3)).astype(np.uint8), f"test:{i}")
    for i in range(2)
]


@pytest.fixture(scope="module")
def writer(tmp_path_factory):
    pytest.importorskip("transformers")
    from tests import tiny_checkpoints

    root = tmp_path_factory.mktemp("prompts")
    return PromptWriter(tiny_checkpoints.blip2(root / "blip2"), tiny_checkpoints.llama(root / "llama"))


def test_caption__is_what_blip2_says_of_the_picture_alone(writer):
    import torch

    processor, model = writer._captioner
    pixels = processor.image_processor(FRAMES[0].pixels, return_tensors="pt").pixel_values
    with torch.inference_mode():
        ids = model.generate(pixel_values=pixels, max_new_tokens=MOST_TOKENS)
    said = processor.tokenizer.decode(ids[0], skip_special_tokens=True).strip()
    assert said, "a checkpoint that says nothing tests nothing"
    assert writer.caption(FRAMES[0]) == (said if said.endswith(".") else f"{said}.")
    assert type(model).__name__ == "Blip2ForConditionalGeneration"


def test_caption__a_silent_model_gets_the_validators_sentence(writer, monkeypatch):
    import torch

    _, model = writer._captioner
    end = model.config.text_config.eos_token_id
    monkeypatch.setattr(model, "generate", lambda **_: torch.tensor([[end]]))
    assert writer.caption(FRAMES[0]) == NO_CAPTION


@pytest.mark.parametrize("label", [0, 1])
def test_rewrite__only_what_is_new_and_under_the_validators_instruction(writer, label):
    import torch

    tokenizer, model = writer._rewriter
    text = (
        f"<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\n{REWRITE[label]}<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\na street.<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n"
    )
    ids = tokenizer(text, return_tensors="pt", add_special_tokens=False)
    with torch.inference_mode():
        made = model.generate(**ids, max_new_tokens=MOST_TOKENS, pad_token_id=tokenizer.eos_token_id)
    said = tokenizer.decode(made[0, ids["input_ids"].shape[1] :], skip_special_tokens=True).strip()
    assert writer.rewrite("a street.", label) == (said or "a street.")
    assert "INST" not in writer.rewrite("a street.", label)


def test_write__caption_then_rewrite_then_condition(writer):
    plain = writer.rewrite(writer.caption(FRAMES[1]), 1)
    assert writer.write(FRAMES[1], 1) == plain
    assert writer.write(FRAMES[1], 1, "fog").endswith(", in dense fog")
    assert type(writer._rewriter[1]).__name__ == "LlamaForCausalLM"
