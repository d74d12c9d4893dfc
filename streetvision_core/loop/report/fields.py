"""What the parts of a story are made of: checked numbers, pictures, intervals, and a section that cannot be told."""

from __future__ import annotations

from typing import Annotated

from pydantic import StringConstraints
from pydantic.dataclasses import dataclass

from streetvision_core.scoring.fields import STRICT, Count, Share

__all__ = ["STRICT", "Base64", "Count", "Estimate", "Missing", "Plot", "Share"]

Base64 = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9+/]+={0,2}$", max_length=1_400_000)]
"""Base64 without line breaks: a JPEG or PNG of at most about 1 MB."""


@dataclass(frozen=True, slots=True, config=STRICT)
class Missing:
    """Stands for a section that cannot be told.

    Attributes:
        reason: why, as the end of the sentence "not available: …".
    """

    reason: str


@dataclass(frozen=True, slots=True, config=STRICT)
class Estimate:
    """A number with its interval.

    Attributes:
        value: the point estimate; None where it is undefined, e.g. MCC with one class only.
        low: lower end of the 95 % interval, None if none was computed.
        high: upper end.
    """

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True, config=STRICT)
class Plot:
    """A picture of numbers.

    Attributes:
        title: what it shows.
        png_base64: the PNG (`pictures.png_of_figure`).
        alt: what a person who cannot see it needs to know.
        note: one sentence on how to read it.
    """

    title: str
    png_base64: Base64
    alt: str
    note: str = ""
