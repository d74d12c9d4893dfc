"""The page at `/`: one answer, no outside resources, locked up by a content security policy."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from importlib import resources
from typing import Final

from starlette.responses import Response

_FILE: Final = "page.html"
_PARTS: Final = ("page.css", "page.js")
"""Put into the page where it names them in a comment, so that it is one answer under one policy."""
_INLINE: Final = {tag: re.compile(rf"<{tag}>(.*?)</{tag}>", re.DOTALL) for tag in ("script", "style")}


def page_response() -> Response:
    """The page with its headers."""
    html, policy = _load()
    headers = {
        "content-security-policy": policy,
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cache-control": "no-cache",
    }
    return Response(html, headers=headers, media_type="text/html")


@cache
def _load() -> tuple[str, str]:
    """The page, and a policy that allows its own script and style by their hashes and nothing else."""
    folder = resources.files(__package__)
    html = (folder / _FILE).read_text(encoding="utf-8")
    for name in _PARTS:
        html = html.replace(f"/* {name} */", "\n" + (folder / name).read_text(encoding="utf-8"))
    sources = {tag: " ".join(_hash(text) for text in pattern.findall(html)) for tag, pattern in _INLINE.items()}
    policy = (
        f"default-src 'none'; script-src {sources['script']}; style-src {sources['style']}; img-src data:; "
        "media-src blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return html, policy


def _hash(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"
