"""Small random detectors, saved as notebooks 21 and 22, or the hub, would leave them."""

from pathlib import Path

from streetvision_core.models.detectors.card import WEIGHTS, DetectorCard
from streetvision_core.models.detectors.meaning import ROADWORK

RFDETR_CONFIG = {
    "resolution": 128,
    "positional_encoding_size": 8,
    "num_queries": 30,
    "num_select": 30,
    "dec_layers": 1,
    "group_detr": 1,
}


def save_rfdetr(folder: Path) -> None:
    """The smallest network the package builds: its encoder alone has 22 M parameters."""
    import torch
    from safetensors.torch import save_file

    from streetvision_core.models.detectors.rfdetr import build

    torch.manual_seed(0)
    card = DetectorCard("nano", tuple(ROADWORK), "tiny-1", RFDETR_CONFIG, seen_groups=("drive-7",))
    folder.mkdir(parents=True)
    state = build(card, "cpu").model.model.state_dict()
    save_file({name: tensor.contiguous().clone() for name, tensor in state.items()}, folder / WEIGHTS)
    card.write(folder)


def save_yolo(folder: Path, architecture: str) -> None:
    """The n-size of a YOLO family."""
    import torch
    from safetensors.torch import save_file

    from streetvision_core.models.detectors.yolo import build

    torch.manual_seed(0)
    card = DetectorCard(architecture, tuple(ROADWORK), "tiny-1", {"resolution": 128})
    folder.mkdir(parents=True)
    model = build(card)
    for head in (model.model[-1].cv3, getattr(model.model[-1], "one2one_cv3", None) or ()):
        for branch in head:
            torch.nn.init.constant_(branch[-1].bias, -1.5)  # an untrained head says nothing; ours shall answer
            branch[-1].weight.data.mul_(0.1)  # and without scores that all round to 1
    model.train()  # without the statistics of some images its features vanish, and every place scores the same
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None
    with torch.no_grad():
        model(torch.rand(4, 3, 8, 8).repeat_interleave(16, 2).repeat_interleave(16, 3))
    model.eval()
    save_file({name: tensor.contiguous().clone() for name, tensor in model.state_dict().items()}, folder / WEIGHTS)
    card.write(folder)


def save_transformers_rfdetr(folder: Path, classes: tuple[str, ...]) -> None:
    """RF-DETR of transformers with a few thousand parameters."""
    import torch
    from transformers import RfDetrConfig, RfDetrForObjectDetection, RfDetrImageProcessor

    torch.manual_seed(0)
    backbone = {
        "model_type": "rf_detr_dinov2",
        "hidden_size": 32,
        "num_hidden_layers": 4,
        "num_attention_heads": 2,
        "image_size": 64,
        "patch_size": 16,
        "num_windows": 2,
        "out_features": ["stage1", "stage2", "stage3", "stage4"],
    }
    config = RfDetrConfig(
        backbone_config=backbone,
        d_model=32,
        decoder_layers=1,
        decoder_ffn_dim=32,
        decoder_self_attention_heads=4,
        decoder_cross_attention_heads=4,
        decoder_n_points=2,
        num_queries=10,  # at most one for each of the 16 patches
        group_detr=1,
        id2label=dict(enumerate(classes)),
        label2id={name: i for i, name in enumerate(classes)},
    )
    model = RfDetrForObjectDetection(config)
    for name, parameter in model.named_parameters():
        if "class_embed" in name and name.endswith("bias"):
            torch.nn.init.constant_(parameter, -1.5)  # an untrained head says nothing; ours shall answer
    model.save_pretrained(folder)
    RfDetrImageProcessor(size={"height": 64, "width": 64}).save_pretrained(folder)
