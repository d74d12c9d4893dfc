"""JSON from strangers: what it is made of is counted before a tree is built of it.

Sixty megabytes of `[[],[],…]` become gigabytes of objects, and the process stands still while they are made. Counting
marks takes a hundredth of that, and the bodies we read have a handful of values, however large their images are.
"""

from __future__ import annotations

import json
from typing import Any, Final

from streetvision_core.errors import RequestError

MAX_CONTAINERS: Final = 64
"""Lists and objects; a subnet's query has ten."""
MAX_MARKS: Final = 4096
"""Quotes, and commas: two of them a value."""
SMALL_BYTES: Final = 64 * 1024
"""A tree of a smaller body is small, whatever it is."""


def load_json(body: bytes) -> Any:
    """What `json.loads` makes of a body.

    Raises:
        RequestError: no JSON, or JSON of more parts than any request has.
    """
    if len(body) > SMALL_BYTES:
        if _has_more(body, b"[", MAX_CONTAINERS) or _has_more(body, b"{", MAX_CONTAINERS):
            raise _refused(f"no JSON that is read here: more than {MAX_CONTAINERS} lists or objects")
        if _has_more(body, b'"', MAX_MARKS) or _has_more(body, b",", MAX_MARKS):
            raise _refused(f"no JSON that is read here: more than {MAX_MARKS} quotes or commas")
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise _refused(f"no JSON: {str(error)[:100]}") from error


def _has_more(body: bytes, mark: bytes, most: int) -> bool:
    """Whether a byte occurs more often than that; `find` is far faster than `count` where it hardly occurs."""
    at = -1
    for _ in range(most + 1):
        at = body.find(mark, at + 1)
        if at < 0:
            return False
    return True


def _refused(got: str) -> RequestError:
    allowed = "JSON as /openapi.json describes it"
    return RequestError(got, allowed, "send the images as base64 texts, and nothing else")
