"""JSON from strangers: what it is made of is counted before a tree is built of it.

Sixty megabytes of `[[],[],…]` become gigabytes of objects, and the process stands still while they are made. Counting
bytes takes a hundredth of that, and the bodies we read have a handful of values, however large their images are.
"""

from __future__ import annotations

import json
from typing import Any, Final

from streetvision_core.errors import RequestError

MAX_CONTAINERS: Final = 64
"""Lists and objects; a subnet's query has ten."""
MAX_TEXTS: Final = 2048
"""Names and values together, as quotes or commas."""


def load_json(body: bytes) -> Any:
    """What `json.loads` makes of a body.

    Raises:
        RequestError: no JSON, or JSON of more parts than any request has.
    """
    containers = body.count(b"[") + body.count(b"{")
    if containers > MAX_CONTAINERS:
        raise _refused(f"no JSON that is read here: {containers} lists and objects", f"at most {MAX_CONTAINERS}")
    texts = max(body.count(b'"') // 2, body.count(b","))
    if texts > MAX_TEXTS:
        raise _refused(f"no JSON that is read here: {texts} values", f"at most {MAX_TEXTS}")
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise _refused(f"no JSON: {str(error)[:100]}", "JSON as the API describes it") from error


def _refused(got: str, allowed: str) -> RequestError:
    return RequestError(got, allowed, "send the images as base64 texts, and nothing else")
