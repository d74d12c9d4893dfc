"""Fills the templates. Everything is escaped unless this room made it; the style sheet travels inside the page."""

from __future__ import annotations

import datetime as dt
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from streetvision_core.loop.report.fields import Estimate, Missing

TEMPLATES: Final = Path(__file__).parent / "templates"

CONTENT_POLICY: Final = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
)
"""No script at all, no request to anywhere; styles and pictures only from inside the page."""

STAGE_TITLES: Final = {
    "classifier": "1 Classifier",
    "detectors": "2 Detectors",
    "vlm": "3 Vision-language model",
    "ocr": "4 Text reader",
}


def render_page(template: str, **values: Any) -> str:
    """Fills one template of this room."""
    return _environment().get_template(template).render(**values)


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(
        style=Markup((TEMPLATES / "style.css").read_text(encoding="utf-8")),
        content_policy=CONTENT_POLICY,
        stage_titles=STAGE_TITLES,
    )
    environment.filters.update(
        pct=percent, num=number, dur=duration, date=long_date, ms=milliseconds, moment=moment, zip=zip
    )
    environment.tests["missing"] = lambda value: isinstance(value, Missing)
    return environment


def percent(share: float | None, digits: int = 0) -> str:
    """0.1234 -> `12 %`; None -> `n/a`."""
    return "n/a" if share is None else f"{100 * share:.{digits}f} %"


def number(value: float | Estimate | None, digits: int = 3) -> str:
    """A number, or an estimate's value; None -> `n/a`; whole numbers with thin spaces between thousands."""
    if isinstance(value, Estimate):
        value = value.value
    if value is None:
        return "n/a"
    if isinstance(value, int):
        return f"{value:,}".replace(",", "\u202f")
    return f"{value:.{digits}f}".replace("-", "\u2212")


def duration(seconds: float | None) -> str:
    """Seconds as people say them: `0.4 s`, `12 s`, `3 min 05 s`, `1 h 02 min`."""
    if seconds is None:
        return "n/a"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def milliseconds(value: float | None) -> str:
    """`8.3 ms`, `412 ms`, `1.2 s`."""
    if value is None:
        return "n/a"
    if value >= 1000:
        return f"{value / 1000:.1f} s"
    return f"{value:.0f} ms" if value >= 10 else f"{value:.1f} ms"


def moment(iso: str) -> str:
    """`2026-11-23T04:12:09+00:00` -> `2026-11-23 04:12 UTC`."""
    return f"{iso[:16].replace('T', ' ')} UTC" if iso.endswith("+00:00") else iso


def long_date(day: dt.date) -> str:
    """`Monday 23 November 2026`."""
    return f"{day:%A} {day.day} {day:%B %Y}"
