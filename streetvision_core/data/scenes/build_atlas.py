"""Packs the sign sprites into one PNG with an index: `python -m streetvision_core.data.scenes.build_atlas FOLDER`.

FOLDER is the unpacked npm package: `npm pack mapillary_sprite_source@1.8.0 && tar xzf mapillary_sprite_source-*.tgz`
gives `package/`. The lettered plates need the Roadgeek fonts (Debian: `fonts-roadgeek`). The result is in git, so only
a person who adds a sign runs this.
"""

from __future__ import annotations

import argparse
import importlib
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image

from streetvision_core.data.scenes._plates import PLATES, SPRITES, PlateSpec, SpriteSpec
from streetvision_core.errors import DataError, MissingExtraError
from streetvision_core.storage import atomic_write_bytes, atomic_write_text
from streetvision_core.types import Pixels

CELL: Final = 144
"""Pixels of the longer side of a sprite."""
_COLUMNS: Final = 9
_FONTS: Final = Path("/usr/share/fonts/truetype/roadgeek")


@dataclass(frozen=True, slots=True)
class _Cell:
    spec: SpriteSpec | PlateSpec
    pixels: Pixels


def _skia() -> Any:
    try:
        skia = importlib.import_module("skia")
    except ImportError as error:
        raise MissingExtraError("skia-python", "dev") from error
    return skia


def draw_svg(path: Path, size: int = CELL) -> Pixels:
    """Rasterises one SVG, longer side `size` pixels, to straight RGBA."""
    skia = _skia()
    stream = skia.Stream.MakeFromFile(str(path))
    if stream is None:
        raise DataError(
            got=f"no file {path.name}",
            allowed="the unpacked mapillary_sprite_source 1.8.0",
            action="npm pack mapillary_sprite_source@1.8.0, unpack it and name its folder 'package'",
        )
    dom = skia.SVGDOM.MakeFromStream(stream)
    box = dom.containerSize()
    scale = 4 * size / max(box.width(), box.height())
    surface = skia.Surface(round(box.width() * scale), round(box.height() * scale))
    canvas = surface.getCanvas()
    canvas.scale(scale, scale)
    dom.render(canvas)
    return _shrink(surface.toarray(colorType=skia.kRGBA_8888_ColorType), 4)


def draw_plate(spec: PlateSpec, fonts: Path = _FONTS, size: int = CELL) -> Pixels:
    """Letters one plate, longer side `size` pixels, to straight RGBA."""
    skia = _skia()
    width = size * 4 if spec.aspect >= 1 else round(size * 4 * spec.aspect)
    height = round(width / spec.aspect)
    surface = skia.Surface(width, height)
    with surface as canvas:
        if spec.outline == "diamond":
            canvas.rotate(45, width / 2, height / 2)
            side = width / 2**0.5
            rect = skia.Rect.MakeXYWH((width - side) / 2, (height - side) / 2, side, side)
        else:
            rect = skia.Rect.MakeWH(width, height)
        _panel(skia, canvas, rect, spec)
        canvas.resetMatrix()
        _letters(skia, canvas, spec, fonts, width, height)
    return _shrink(surface.toarray(colorType=skia.kRGBA_8888_ColorType), 4)


def _panel(skia: Any, canvas: Any, rect: Any, spec: PlateSpec) -> None:
    radius = 0.05 * rect.width()
    canvas.drawRoundRect(rect, radius, radius, skia.Paint(Color=skia.Color(*spec.ground), AntiAlias=True))
    inset = 0.025 * max(rect.width(), rect.height())
    line = skia.Paint(
        Color=skia.Color(*spec.ink), AntiAlias=True, Style=skia.Paint.kStroke_Style, StrokeWidth=inset * 0.9
    )
    canvas.drawRoundRect(rect.makeInset(inset, inset), radius * 0.7, radius * 0.7, line)


def _letters(skia: Any, canvas: Any, spec: PlateSpec, fonts: Path, width: int, height: int) -> None:
    face = skia.Typeface.MakeFromFile(str(fonts / "RG2014C.ttf"))
    if face is None:
        raise DataError(got="no Roadgeek fonts", allowed=str(fonts), action="apt-get install fonts-roadgeek")
    count = len(spec.lines)
    pitch = height * (0.19 if spec.outline == "diamond" else 0.8 / count)
    for number, text in enumerate(spec.lines):
        middle = height / 2 + (number - (count - 1) / 2) * pitch
        offset = abs(middle - height / 2) + pitch * 0.35
        room = (width - 2 * offset) * 0.92 if spec.outline == "diamond" else width * 0.86
        font = skia.Font(face, pitch * (1.05 if spec.outline == "diamond" else 0.95))
        font.setSize(min(font.getSize(), font.getSize() * room / font.measureText(text)))
        x = (width - font.measureText(text)) / 2
        ink = skia.Paint(Color=skia.Color(*spec.ink), AntiAlias=True)
        canvas.drawString(text, x, middle + 0.36 * font.getSize(), font, ink)


def _shrink(rgba: Pixels, factor: int) -> Pixels:
    image = Image.fromarray(rgba, "RGBA")
    size = (max(1, round(image.width / factor)), max(1, round(image.height / factor)))
    return np.asarray(image.resize(size, Image.Resampling.BOX))


def _repaint(rgba: Pixels, old: tuple[int, ...], new: tuple[int, ...]) -> Pixels:
    near = np.abs(rgba[..., :3].astype(int) - old).max(axis=-1) < 60
    out = rgba.copy()
    out[near, :3] = new
    return out


def _cells(folder: Path, fonts: Path) -> list[_Cell]:
    cells = []
    for spec in SPRITES:
        pixels = draw_svg(folder / "package_signs" / f"{spec.svg}.svg")
        if spec.repaint is not None:
            pixels = _repaint(pixels, *spec.repaint)
        cells.append(_Cell(spec, pixels))
    return cells + [_Cell(plate, draw_plate(plate, fonts)) for plate in PLATES]


def build(folder: Path, target: Path, fonts: Path = _FONTS) -> int:
    """Writes `signs.png` and `signs.json` into `target`; returns the number of sprites."""
    cells = _cells(folder, fonts)
    rows = -(-len(cells) // _COLUMNS)
    sheet = np.zeros((rows * CELL, _COLUMNS * CELL, 4), np.uint8)
    index = {}
    for number, cell in enumerate(cells):
        y, x = number // _COLUMNS * CELL, number % _COLUMNS * CELL
        height, width = cell.pixels.shape[:2]
        sheet[y : y + height, x : x + width] = cell.pixels
        spec = cell.spec
        index[spec.name] = {
            "box": [x, y, width, height],
            "kind": spec.kind,
            "region": spec.region,
            "height_m": spec.height_m,
        }
    buffer = io.BytesIO()
    Image.fromarray(sheet, "RGBA").save(buffer, "PNG", optimize=True)
    atomic_write_bytes(target / "signs.png", buffer.getvalue())
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(entry)}" for name, entry in index.items())
    atomic_write_text(target / "signs.json", f"{{\n{lines}\n}}\n")
    return len(cells)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="the unpacked npm package")
    parser.add_argument("--fonts", type=Path, default=_FONTS, help="folder of RG2014C.ttf")
    parser.add_argument("--target", type=Path, default=Path(__file__).parent / "assets")
    arguments = parser.parse_args()
    build(arguments.folder, arguments.target, arguments.fonts)


if __name__ == "__main__":
    main()
