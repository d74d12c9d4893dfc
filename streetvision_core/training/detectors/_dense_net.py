"""The dense head: three frozen maps in, one grid of class scores and box sides out (after CenterNet and FCOS).

Zhou et al., Objects as Points, 2019 (the heat map and its focal loss); Tian et al., FCOS, 2019 (sides from a cell);
Rezatofighi et al., Generalized IoU, 2019.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 the field's usual name

from streetvision_core.training.detectors._samples import IGNORE, N_CLASSES

STRIDE: Final = 8
MAP_CHANNELS: Final = (48, 120, 352)
"""Channels of EfficientNet-Lite2 at strides 8, 16 and 32."""

PRIOR: Final = 0.01
"""Score of an untrained cell; without it the first steps drown in background (Lin et al., Focal Loss, 2017)."""


def _block(inputs: int, outputs: int, size: int = 3) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, padding=size // 2, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


class DenseHead(nn.Module):
    """A top-down path over the three maps and two towers at stride 8."""

    def __init__(self, channels: int = 64) -> None:
        super().__init__()
        self.side8, self.side16, self.side32 = (_block(c, channels, 1) for c in MAP_CHANNELS)
        self.mix16 = _block(channels, channels)
        self.mix8 = _block(channels, channels)
        self.score_tower = nn.Sequential(_block(channels, channels), nn.Conv2d(channels, N_CLASSES, 1))
        self.sides_tower = nn.Sequential(_block(channels, channels), nn.Conv2d(channels, 4, 1))
        last = self.score_tower[-1]
        assert isinstance(last, nn.Conv2d) and last.bias is not None
        nn.init.constant_(last.bias, -float(torch.log(torch.tensor((1 - PRIOR) / PRIOR))))

    def forward(self, map8: Tensor, map16: Tensor, map32: Tensor) -> tuple[Tensor, Tensor]:
        """Class logits [N, C, H/8, W/8] and log distances to left, top, right, bottom in strides [N, 4, H/8, W/8]."""
        x = self.side16(map16) + F.interpolate(self.side32(map32), scale_factor=2.0, mode="nearest")
        x = self.side8(map8) + F.interpolate(self.mix16(x), scale_factor=2.0, mode="nearest")
        x = self.mix8(x)
        return self.score_tower(x), self.sides_tower(x)


def cell_centres(rows: int, columns: int) -> Tensor:
    """Pixel coordinates of the cells' centres, float32 [rows, columns, 2] as (x, y)."""
    y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    return (torch.stack([x, y], dim=-1).float() + 0.5) * STRIDE


def decode_sides(sides: Tensor) -> Tensor:
    """Corners in pixels, [N, 4, H, W] from log distances [N, 4, H, W]."""
    centres = cell_centres(sides.shape[2], sides.shape[3]).permute(2, 0, 1)
    reach = sides.clamp(-6, 6).exp() * STRIDE
    return torch.cat([centres - reach[:, :2], centres + reach[:, 2:]], dim=1)


def make_targets(
    corners: Tensor, labels: Tensor, known: Tensor, rows: int, columns: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What one image's grid should say.

    Args:
        corners: [N, 4] pixels of the crop.
        labels: [N] class index or IGNORE.
        known: bool [C], classes whose absence outside the boxes is a fact.
        rows: rows of the grid.
        columns: columns of the grid.

    Returns:
        heat [C, H, W] in [0, 1] (1 at the centre cell), weight [C, H, W] (0 where nothing is known),
        boxes [4, H, W] in pixels, box weight [H, W] (0 where no box is to be told).
    """
    centres = cell_centres(rows, columns)
    heat = torch.zeros(N_CLASSES, rows, columns)
    weight = known.float()[:, None, None].expand(N_CLASSES, rows, columns).clone()
    boxes = torch.zeros(4, rows, columns)
    box_weight = torch.zeros(rows, columns)
    areas = (corners[:, 2:] - corners[:, :2]).prod(dim=1)
    for i in torch.argsort(areas, descending=True).tolist():  # small boxes last: they win the cells they share
        x0, y0, x1, y1 = corners[i].tolist()
        inside = (centres[..., 0] >= x0) & (centres[..., 0] <= x1) & (centres[..., 1] >= y0) & (centres[..., 1] <= y1)
        if int(labels[i]) == IGNORE:
            weight[:, inside | _nearest(centres, x0, y0, x1, y1)] = 0
            continue
        label, centre = int(labels[i]), _nearest(centres, x0, y0, x1, y1)
        weight[:, inside | centre] = 1  # a cone is known to be no drum
        bump = _bump(centres, x0, y0, x1, y1)
        heat[label] = torch.maximum(heat[label], torch.where(centre, torch.ones(()), bump.clamp(max=0.95)))
        told = ((bump > 0.5) & inside) | centre
        boxes[:, told] = corners[i][:, None]
        box_weight[told] = torch.where(centre, torch.ones(()), bump)[told]
    return heat, weight, boxes, box_weight


def _nearest(centres: Tensor, x0: float, y0: float, x1: float, y1: float) -> Tensor:
    rows, columns = centres.shape[:2]
    hit = torch.zeros(rows, columns, dtype=torch.bool)
    row = min(rows - 1, max(0, int((y0 + y1) / 2 / STRIDE)))
    column = min(columns - 1, max(0, int((x0 + x1) / 2 / STRIDE)))
    hit[row, column] = True
    return hit


def _bump(centres: Tensor, x0: float, y0: float, x1: float, y1: float) -> Tensor:
    """A Gaussian around the centre, a sixth of the box's sides wide, at least half a cell."""
    sx, sy = max(STRIDE * 0.5, (x1 - x0) / 6), max(STRIDE * 0.5, (y1 - y0) / 6)
    dx, dy = centres[..., 0] - (x0 + x1) / 2, centres[..., 1] - (y0 + y1) / 2
    return torch.exp(-0.5 * ((dx / sx) ** 2 + (dy / sy) ** 2))


def heat_loss(logits: Tensor, heat: Tensor, weight: Tensor) -> Tensor:
    """Penalty-reduced focal loss (Objects as Points, equation 1), divided by the number of objects."""
    p = logits.sigmoid().clamp(1e-5, 1 - 1e-5)
    centre = heat >= 0.999
    gain = -((1 - p) ** 2) * p.log()
    pain = -((1 - heat) ** 4) * p**2 * (1 - p).log()
    return (torch.where(centre, gain, pain) * weight).sum() / centre.sum().clamp(min=logits.shape[0])


def box_loss(sides: Tensor, boxes: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean of 1 - generalised IoU over the cells that have a box to tell."""
    told = weight > 0
    if not bool(told.any()):
        return sides.sum() * 0
    a = decode_sides(sides).permute(0, 2, 3, 1)[told]
    b = boxes.permute(0, 2, 3, 1)[told]
    overlap = (torch.minimum(a[:, 2:], b[:, 2:]) - torch.maximum(a[:, :2], b[:, :2])).clamp(min=0).prod(1)
    union = (a[:, 2:] - a[:, :2]).prod(1) + (b[:, 2:] - b[:, :2]).prod(1) - overlap
    hull = (torch.maximum(a[:, 2:], b[:, 2:]) - torch.minimum(a[:, :2], b[:, :2])).prod(1).clamp(min=1e-6)
    giou = overlap / union.clamp(min=1e-6) - (hull - union) / hull
    return ((1 - giou) * weight[told]).sum() / weight[told].sum()
