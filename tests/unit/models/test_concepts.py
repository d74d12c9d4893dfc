"""SAM 3 and a zero-shot detector: the real classes on tiny random weights, saved and loaded from a folder."""

import json

import numpy as np
import pytest

from streetvision_core.errors import ModelError
from streetvision_core.mining.objects import look
from streetvision_core.models.concepts import PHRASES, GroundingDetector, Sam3Segmenter, _class_of
from streetvision_core.types import DEVICE_CLASSES, Frame

pytestmark = pytest.mark.slow
FRAME = Frame.from_pixels(np.random.default_rng(0).integers(0, 255, (60, 90, 3)).astype(np.uint8), "a")


@pytest.fixture(scope="module")
def sam3(tmp_path_factory):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("sam3")
    small = {"hidden_size": 32, "num_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    backbone = {
        "model_type": "sam3_vit_model",
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "image_size": 112,
        "pretrain_image_size": 56,
        "window_size": 4,
        "global_attn_indexes": [1],
    }
    text = {
        "model_type": "clip_text_model",
        "hidden_size": 32,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "vocab_size": 100,
        "projection_dim": 32,
        "max_position_embeddings": 32,
        "eos_token_id": 1,
    }
    config = transformers.Sam3Config(
        vision_config={
            "backbone_config": backbone,
            "fpn_hidden_size": 32,
            "backbone_feature_sizes": [[32, 32], [16, 16], [8, 8]],
        },
        text_config=text,
        geometry_encoder_config=small,
        detr_encoder_config=small,
        detr_decoder_config={**small, "num_queries": 6},
        mask_decoder_config={"hidden_size": 32, "num_attention_heads": 2},
    )
    torch.manual_seed(0)
    transformers.Sam3Model(config).save_pretrained(folder)
    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)]
    words = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{c}</w>" for c in letters)]
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = transformers.CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=32)
    size = {"height": 112, "width": 112}
    image_processor = transformers.Sam3ImageProcessor(size=size, mask_size={"height": 32, "width": 32})
    transformers.Sam3Processor(image_processor, tokenizer).save_pretrained(folder)
    return Sam3Segmenter(folder, "tiny-sam3", "cpu", threshold=0.0)


def test_segment__looks_once_and_asks_each_phrase(sam3, monkeypatch):
    _, model = sam3._loaded
    looks, look = [], model.get_vision_features
    monkeypatch.setattr(model, "get_vision_features", lambda **k: looks.append(1) or look(**k))
    regions = sam3.segment(FRAME)
    assert len(looks) == 1
    assert {region.phrase for region in regions} == set(PHRASES)
    assert all(region.mask.shape == (60, 90) for region in regions)
    assert {region.box.label for region in regions} <= set(DEVICE_CLASSES)
    scores = [region.box.score for region in regions]
    assert scores == sorted(scores, reverse=True)


def test_segment__one_phrase_is_the_same_alone_or_among_others(sam3):
    alone = sam3.segment(FRAME, {"traffic cone": "cone"})
    among = [region for region in sam3.segment(FRAME) if region.phrase == "traffic cone"]
    assert [a.box for a in alone] == [b.box for b in among]
    assert sam3.detect([FRAME])[0]


def test_look__keeps_sam3s_masks_cut_to_their_boxes(sam3):
    regions, found = sam3.segment(FRAME), look(sam3, FRAME)
    assert found
    assert {one.box.score for one in found} <= {region.box.score for region in regions}
    for one in found:
        assert one.mask.shape == (one.box.y1 - one.box.y0, one.box.x1 - one.box.x0)


def test_load__an_empty_folder_says_what_to_pull(tmp_path):
    with pytest.raises(ModelError, match="streetvision models pull"):
        Sam3Segmenter(tmp_path)
    with pytest.raises(ModelError, match="streetvision models pull"):
        GroundingDetector(tmp_path, "llmdet_tiny")


@pytest.fixture(scope="module")
def grounding(tmp_path_factory):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("grounding")
    backbone = transformers.SwinConfig(
        window_size=7, image_size=32, embed_dim=12, depths=[1, 1, 1, 1], num_heads=[2, 2, 2, 2],
        out_features=["stage2", "stage3", "stage4"], out_indices=[2, 3, 4],
    )  # fmt: skip
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", *sorted({w for p in PHRASES for w in p.split()})]
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    text = transformers.BertConfig(
        hidden_size=16, num_attention_heads=2, num_hidden_layers=1, intermediate_size=16, vocab_size=len(words)
    )
    config = transformers.MMGroundingDinoConfig(
        backbone_config=backbone, text_config=text, d_model=32, num_queries=8, encoder_layers=1, decoder_layers=2,
        encoder_ffn_dim=16, decoder_ffn_dim=16, encoder_attention_heads=2, decoder_attention_heads=2,
        encoder_n_points=2, decoder_n_points=2,
    )  # fmt: skip
    torch.manual_seed(0)
    transformers.MMGroundingDinoForObjectDetection(config).save_pretrained(folder)
    tokenizer = transformers.BertTokenizer(str(folder / "vocab.txt"))
    image_processor = transformers.GroundingDinoImageProcessor(size={"shortest_edge": 64, "longest_edge": 96})
    transformers.GroundingDinoProcessor(image_processor, tokenizer).save_pretrained(folder)
    return GroundingDetector(folder, "tiny-llmdet", "cpu", threshold=0.0)


def test_detect__boxes_of_our_classes_in_the_frames_pixels(grounding):
    [boxes] = grounding.detect([FRAME])
    assert boxes
    assert {box.label for box in boxes} <= set(DEVICE_CLASSES)
    assert [box.score for box in boxes] == sorted((box.score for box in boxes), reverse=True)
    assert all(-90 <= box.x0 <= box.x1 <= 180 for box in boxes)


@pytest.mark.parametrize(
    ("text", "label"), [("traffic cone", "cone"), ("road sign", "sign"), ("vest", "worker"), ("banana", None)]
)
def test_class_of__phrases_in_pieces(text, label):
    assert _class_of(text) == label
