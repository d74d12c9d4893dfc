"""Small random checkpoints of the big models' own classes, saved to disk, so that the real loading code runs offline.

Tokenizers, processors and chat templates are built here in the manner of the published ones.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from streetvision_core.models.vlm.prompts import QUESTION, message

BYTES_AND_WORDS = ("yes", "Yes", "no", "No", "\u0120yes", "\u0120no")
GLM_TOKENS = (
    "<|endoftext|>", "[gMASK]", "<sop>", "<|user|>", "<|assistant|>", "<think>", "</think>",
    "<|begin_of_image|>", "<|image|>", "<|end_of_image|>", "<|begin_of_video|>", "<|video|>", "<|end_of_video|>",
    "<|begin_of_box|>", "<|end_of_box|>",
)  # fmt: skip
MOLMO_TOKENS = (
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|image|>", "<|video|>", "<im_start>", "<im_end>", "<im_patch>",
    "<im_col>", "<low_res_im_start>", "<im_low>", "<frame_start>", "<frame_end>",
)  # fmt: skip
GLM_TEMPLATE = (
    "[gMASK]<sop>{% for m in messages %}<|{{ m.role }}|>\n{% for c in m.content %}"
    "{% if c.type == 'image' %}<|begin_of_image|><|image|><|end_of_image|>"
    "{% elif c.type == 'text' %}{{ c.text }}{% endif %}{% endfor %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n"
    "{% if enable_thinking is defined and not enable_thinking %}<think></think>\n{% endif %}{% endif %}"
)
MOLMO_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% for c in m.content %}"
    "{% if c.type == 'image' %}<|image|>{% elif c.type == 'text' %}{{ c.text }}{% endif %}{% endfor %}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def tokenizer(specials: tuple[str, ...], **named: Any) -> Any:
    """A byte-level tokenizer whose only words are yes and no."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces, merges = [], []
    for word in BYTES_AND_WORDS:
        for end in range(2, len(word) + 1):
            if word[:end] not in pieces:
                pieces.append(word[:end])
                merges.append((word[: end - 1], word[end - 1]))
    vocabulary = {token: i for i, token in enumerate([*alphabet, *pieces])}
    made = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(tokenizer_object=made, **named)
    fast.add_special_tokens({"additional_special_tokens": list(specials)})
    return fast


def teach_yes_and_no(model: Any, processor: Any) -> None:
    """Makes a random model answer: its output rows of yes and no are turned towards what it thinks before it answers.

    Which of the two wins still depends on the image, through the random rest of the rows.
    """
    import torch
    from PIL import Image

    seen: list[Any] = []
    head = model.get_output_embeddings()
    hook = head.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0][0, -1]))
    thinks = {"enable_thinking": False} if "enable_thinking" in processor.chat_template else {}
    for colour in ((128, 128, 128), (200, 60, 20), (30, 90, 220)):
        image = {"type": "image", "image": Image.new("RGB", (112, 84), colour)}
        inputs = processor.apply_chat_template(
            message([image], QUESTION), tokenize=True, add_generation_prompt=True, return_dict=True,
            return_tensors="pt", **thinks,
        )  # fmt: skip
        with torch.inference_mode():
            model(**inputs)
    hook.remove()
    thought = torch.stack(seen).mean(0)
    generator = torch.Generator().manual_seed(1)
    for word, strength in (("yes", 12.0), ("Yes", 9.0), ("no", 12.0), ("No", 9.0)):
        noise = torch.randn(thought.shape, generator=generator) * 0.05
        row = processor.tokenizer.convert_tokens_to_ids(word)
        with torch.no_grad():
            head.weight[row] = strength * thought / thought.dot(thought) + noise


def glm(folder: Path, *, taught: bool = True, width: int = 64) -> Path:
    """A GLM-4.6V-Flash of a few thousand parameters: `Glm4vForConditionalGeneration`; untaught, it babbles.

    Of `width` 256 all its layers can be stored in 4 bit in groups of 128.
    """
    import torch
    from transformers import Glm4vConfig, Glm4vForConditionalGeneration, Glm4vProcessor
    from transformers.models.glm4v.image_processing_glm4v import Glm4vImageProcessor
    from transformers.models.glm4v.video_processing_glm4v import Glm4vVideoProcessor

    words = tokenizer(GLM_TOKENS, eos_token="<|endoftext|>", pad_token="<|endoftext|>")
    ids = {name: words.convert_tokens_to_ids(name) for name in GLM_TOKENS}
    torch.manual_seed(0)
    config = Glm4vConfig(
        text_config={
            "vocab_size": len(words), "hidden_size": width, "intermediate_size": width * 3 // 2,
            "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
            "pad_token_id": ids["<|endoftext|>"],
            "rope_parameters": {
                "rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5,
                "mrope_section": [width // 32, width // 64, width // 64],
            },
        },
        vision_config={
            "depth": 1, "hidden_size": 32, "num_heads": 2, "out_hidden_size": width, "intermediate_size": 48,
            "image_size": 56,
        },
        image_token_id=ids["<|image|>"],
        video_token_id=ids["<|video|>"],
        image_start_token_id=ids["<|begin_of_image|>"],
        image_end_token_id=ids["<|end_of_image|>"],
        video_start_token_id=ids["<|begin_of_video|>"],
        video_end_token_id=ids["<|end_of_video|>"],
    )  # fmt: skip
    small = {"shortest_edge": 56 * 56, "longest_edge": 112 * 112}
    processor = Glm4vProcessor(
        Glm4vImageProcessor(size=small), words, Glm4vVideoProcessor(size=small), chat_template=GLM_TEMPLATE
    )
    return _save(Glm4vForConditionalGeneration(config).eval(), processor, folder, taught)


def molmo(folder: Path, *, taught: bool = True) -> Path:
    """A Molmo2 of a few thousand parameters: `Molmo2ForConditionalGeneration`."""
    import torch
    from transformers import Molmo2Config, Molmo2ForConditionalGeneration, Molmo2Processor
    from transformers.models.molmo2.image_processing_molmo2 import Molmo2ImageProcessor
    from transformers.models.molmo2.video_processing_molmo2 import Molmo2VideoProcessor

    words = tokenizer(MOLMO_TOKENS, eos_token="<|im_end|>", bos_token="<|endoftext|>", pad_token="<|endoftext|>")
    ids = {name: words.convert_tokens_to_ids(name) for name in MOLMO_TOKENS}
    torch.manual_seed(0)
    config = Molmo2Config(
        text_config={
            "vocab_size": len(words), "additional_vocab_size": 8, "hidden_size": 64, "intermediate_size": 96,
            "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16,
        },
        vision_config={
            "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2,
            "num_key_value_heads": 2, "head_dim": 16, "image_size": [56, 56],
        },
        adapter_config={
            "vision_feature_layer": [1, 0], "hidden_size": 32, "num_attention_heads": 2, "num_key_value_heads": 2,
            "head_dim": 16, "intermediate_size": 48, "text_hidden_size": 64,
        },
        image_start_token_id=ids["<im_start>"],
        image_end_token_id=ids["<im_end>"],
        image_patch_id=ids["<im_patch>"],
        low_res_image_start_token_id=ids["<low_res_im_start>"],
        frame_start_token_id=ids["<frame_start>"],
        frame_end_token_id=ids["<frame_end>"],
    )  # fmt: skip
    size = {"height": 56, "width": 56}
    processor = Molmo2Processor(
        Molmo2ImageProcessor(size=size, max_crops=2, overlap_margins=[1, 1]),
        Molmo2VideoProcessor(size=size),
        words,
        chat_template=MOLMO_TEMPLATE,
    )
    return _save(Molmo2ForConditionalGeneration(config).eval(), processor, folder, taught)


def _save(model: Any, processor: Any, folder: Path, taught: bool) -> Path:
    if taught:
        teach_yes_and_no(model, processor)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def florence(folder: Path) -> Path:
    """A Florence-2 of a few thousand parameters: `Florence2ForConditionalGeneration`."""
    import torch
    from transformers import (
        CLIPImageProcessor,
        Florence2Config,
        Florence2ForConditionalGeneration,
        Florence2Processor,
    )

    locations = tuple(f"<loc_{i}>" for i in range(1000))
    words = tokenizer(
        ("<image>", "<pad>", "<s>", "</s>", "<ocr>", "</ocr>", *locations),
        bos_token="<s>", eos_token="</s>", pad_token="<pad>", extra_special_tokens={"image_token": "<image>"},
    )  # fmt: skip
    torch.manual_seed(0)
    config = Florence2Config(
        vision_config={
            "depths": [1, 1, 1, 1], "embed_dim": [16, 16, 16, 16], "num_heads": [2, 2, 2, 2],
            "num_groups": [2, 2, 2, 2], "projection_dim": 32, "window_size": 4,
        },
        text_config={
            "model_type": "bart", "vocab_size": len(words), "d_model": 32, "encoder_layers": 1, "decoder_layers": 1,
            "encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32,
            "bos_token_id": words.bos_token_id, "eos_token_id": words.eos_token_id, "pad_token_id": words.pad_token_id,
            "decoder_start_token_id": words.eos_token_id, "forced_eos_token_id": words.eos_token_id,
        },
        image_token_id=words.convert_tokens_to_ids("<image>"),
    )  # fmt: skip
    Florence2ForConditionalGeneration(config).save_pretrained(folder)
    images = CLIPImageProcessor(size={"height": 64, "width": 64}, do_center_crop=False)
    images.image_seq_length = 5
    post = {"ocr": {"pattern": "(.+?)" + r"<loc_(\d+)>" * 8, "area_threshold": 0.0}}
    Florence2Processor(images, words, post_processor_config=post).save_pretrained(folder)
    return folder


def siglip(folder: Path) -> Path:
    """A SigLIP of a few thousand parameters: `SiglipModel`, its texts padded to their full length."""
    import torch
    from transformers import SiglipConfig, SiglipImageProcessor, SiglipModel, SiglipProcessor

    torch.manual_seed(0)
    small = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    words = word_tokenizer()
    config = SiglipConfig(
        text_config={**small, "vocab_size": len(words), "max_position_embeddings": 8, "projection_size": 16},
        vision_config={**small, "image_size": 32, "patch_size": 16},
    )
    SiglipModel(config).save_pretrained(folder)
    SiglipProcessor(SiglipImageProcessor(size={"height": 32, "width": 32}), words).save_pretrained(folder)
    return folder


def clip(folder: Path) -> Path:
    """A CLIP of a few thousand parameters: `CLIPModel`."""
    import torch
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor

    torch.manual_seed(0)
    small = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    words = word_tokenizer()
    special = {"eos_token_id": words.eos_token_id, "bos_token_id": words.eos_token_id, "pad_token_id": 0}
    config = CLIPConfig(
        text_config={**small, **special, "vocab_size": len(words), "max_position_embeddings": 8},
        vision_config={**small, "image_size": 32, "patch_size": 16},
        projection_dim=16,
    )
    CLIPModel(config).save_pretrained(folder)
    images = CLIPImageProcessor(size={"height": 32, "width": 32}, do_center_crop=False)
    CLIPProcessor(images, words).save_pretrained(folder)
    return folder


def word_tokenizer() -> Any:
    """A tokenizer of seven words, eight to a text."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {word: i for i, word in enumerate(["<pad>", "</s>", "<unk>", "cones", "on", "the", "road"])}
    plain = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    plain.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=plain, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=8
    )


def blip2(folder: Path) -> Path:
    """BLIP-2's own class with OPT: a vision tower, a querying transformer and a language model, all of them tiny."""
    import torch
    from transformers import Blip2Config, Blip2ForConditionalGeneration, Blip2Processor, BlipImageProcessor

    words = tokenizer(("<pad>", "</s>", "<image>"), pad_token="<pad>", bos_token="</s>", eos_token="</s>")
    image = words.convert_tokens_to_ids("<image>")
    config = Blip2Config(
        vision_config={"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
                       "image_size": 28, "patch_size": 14},
        qformer_config={"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
                        "encoder_hidden_size": 16, "vocab_size": 30},
        text_config={"model_type": "opt", "hidden_size": 16, "ffn_dim": 32, "num_hidden_layers": 2,
                     "num_attention_heads": 2, "word_embed_proj_dim": 16, "vocab_size": len(words),
                     "max_position_embeddings": 256, "bos_token_id": words.bos_token_id,
                     "eos_token_id": words.eos_token_id, "pad_token_id": words.pad_token_id},
        num_query_tokens=4, image_token_index=image,
    )  # fmt: skip
    torch.manual_seed(3)
    model = Blip2ForConditionalGeneration(config)
    with torch.no_grad():  # as published, the queries are learned; fresh ones are zero and see nothing
        model.query_tokens.normal_()
    pictures = BlipImageProcessor(size={"height": 28, "width": 28})
    model.save_pretrained(folder)
    Blip2Processor(pictures, words, num_query_tokens=4).save_pretrained(folder)
    return folder


LLAMA_TEMPLATE = (
    "<|begin_of_text|>{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n{{ m.content }}"
    "<|eot_id|>{% endfor %}{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)


def llama(folder: Path) -> Path:
    """Llama's own class with the chat template of version 3, tiny."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    specials = ("<|begin_of_text|>", "<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>")
    words = tokenizer(specials, bos_token="<|begin_of_text|>", eos_token="<|eot_id|>")
    words.chat_template = LLAMA_TEMPLATE
    config = LlamaConfig(
        vocab_size=len(words), hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=2048, bos_token_id=words.bos_token_id, eos_token_id=words.eos_token_id,
    )  # fmt: skip
    torch.manual_seed(4)
    LlamaForCausalLM(config).save_pretrained(folder)
    words.save_pretrained(folder)
    return folder
