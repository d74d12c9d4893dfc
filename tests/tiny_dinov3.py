"""Random DINOv3 networks of a few thousand parameters, saved as the hub would hold them."""

import json
from pathlib import Path

WIDTH, DEPTH, HEADS, REGISTERS = 32, 2, 2, 4


def save_timm(folder: Path, seed: int = 0) -> None:
    """A folder in timm's layout: the architecture's name, the arguments that make it small, safetensors."""
    import timm
    import torch

    torch.manual_seed(seed)
    arguments = {"embed_dim": WIDTH, "depth": DEPTH, "num_heads": HEADS, "init_values": 0.5}
    model = timm.create_model("vit_small_patch16_dinov3", num_classes=0, global_pool="token", **arguments)
    for parameter in model.parameters():  # registers and layer scales start almost at nothing
        torch.nn.init.normal_(parameter, std=0.2)
    write_timm(folder, model.state_dict(), arguments)


def write_timm(folder: Path, state: dict, arguments: dict) -> None:
    """Writes weights and config as timm's hub folders have them."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, folder / "model.safetensors")
    cfg = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225], "num_classes": 0, "input_size": [3, 256, 256]}
    text = {"architecture": "vit_small_patch16_dinov3", "num_classes": 0, "pretrained_cfg": cfg}
    (folder / "config.json").write_text(json.dumps(text | {"model_args": arguments}))


def save_transformers(folder: Path, seed: int = 0) -> None:
    """A folder in transformers' layout."""
    import torch
    from transformers import DINOv3ViTConfig, DINOv3ViTModel

    torch.manual_seed(seed)
    config = DINOv3ViTConfig(
        hidden_size=WIDTH,
        intermediate_size=4 * WIDTH,
        num_hidden_layers=DEPTH,
        num_attention_heads=HEADS,
        num_register_tokens=REGISTERS,
        query_bias=False,
        value_bias=False,
        layerscale_value=0.5,
    )
    model = DINOv3ViTModel(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    model.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(
        json.dumps({"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]})
    )


def as_timm(source: Path, folder: Path) -> None:
    """The weights of a transformers folder under timm's names."""
    import torch
    from safetensors.torch import load_file

    held = load_file(source / "model.safetensors")
    state = {
        "cls_token": held["embeddings.cls_token"],
        "reg_token": held["embeddings.register_tokens"],
        "patch_embed.proj.weight": held["embeddings.patch_embeddings.weight"],
        "patch_embed.proj.bias": held["embeddings.patch_embeddings.bias"],
        "norm.weight": held["norm.weight"],
        "norm.bias": held["norm.bias"],
    }
    for i in range(DEPTH):
        layer = next(p for p in (f"model.layer.{i}", f"layer.{i}", f"layers.{i}") if f"{p}.norm1.weight" in held)
        qkv = [held[f"{layer}.attention.{part}_proj.weight"] for part in "qkv"]
        state[f"blocks.{i}.attn.qkv.weight"] = torch.cat(qkv)
        state[f"blocks.{i}.gamma_1"] = held[f"{layer}.layer_scale1.lambda1"]
        state[f"blocks.{i}.gamma_2"] = held[f"{layer}.layer_scale2.lambda1"]
        names = {"norm1": "norm1", "norm2": "norm2", "attn.proj": "attention.o_proj"}
        names |= {"mlp.fc1": "mlp.up_proj", "mlp.fc2": "mlp.down_proj"}
        for ours, theirs in names.items():
            for kind in ("weight", "bias"):
                state[f"blocks.{i}.{ours}.{kind}"] = held[f"{layer}.{theirs}.{kind}"]
    write_timm(folder, state, {"embed_dim": WIDTH, "depth": DEPTH, "num_heads": HEADS, "init_values": 0.5})


__all__ = ["as_timm", "save_timm", "save_transformers"]
