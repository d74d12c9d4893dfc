"""Turns results into plain JSON data, and says which key is at fault where that is impossible."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping, Sequence, Set
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np

from streetvision_core.errors import ResultError

MAX_BYTES = 8 * 2**20
"""Largest recorded result: bigger things belong in files whose path is recorded."""


def plain(value: Any, where: str = "result") -> Any:
    """Converts `value` to dicts, lists, strings, numbers, booleans and None.

    NumPy scalars and arrays, enums, dates, paths, sets and objects with `to_dict()` are converted.

    Args:
        value: what to convert.
        where: its name, used in the error.

    Raises:
        ResultError: NaN or infinity, a key that is no string, or an object of another kind.

    Example:
        >>> import numpy as np
        >>> plain({"mcc": np.float32(0.5), "n": np.int64(3)})
        {'mcc': 0.5, 'n': 3}
    """
    if isinstance(value, Enum):
        return plain(value.value, where)
    if value is None or isinstance(value, bool | str):
        return str(value) if isinstance(value, str) else value
    if isinstance(value, np.generic | np.ndarray):
        return plain(value.tolist(), where)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return _finite(value, where)
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, Path):
        return str(value)
    return _plain_container(value, where)


def _plain_container(value: Any, where: str) -> Any:
    if isinstance(value, Mapping):
        return {_key(key, where): plain(item, f"{where}[{key!r}]") for key, item in value.items()}
    if isinstance(value, Set):
        return [plain(item, where) for item in sorted(value, key=str)]
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [plain(item, f"{where}[{index}]") for index, item in enumerate(value)]
    if callable(getattr(value, "to_dict", None)):
        return plain(value.to_dict(), where)
    raise ResultError(
        got=f"{where} of type {type(value).__name__}",
        allowed="dict, list, str, numbers, bool, None, NumPy arrays, dates, paths, objects with to_dict()",
        action="record numbers and short texts; write pictures and tables to files and record their paths",
        where=where,
    )


def _finite(value: float, where: str) -> float:
    if not math.isfinite(value):
        raise ResultError(
            got=f"{where} = {value}",
            allowed="finite numbers, or None where there is no number",
            action="find out why it is not finite; record None together with the reason",
            where=where,
        )
    return float(value)


def _key(key: Any, where: str) -> str:
    if not isinstance(key, str):
        raise ResultError(
            got=f"the key {key!r} ({type(key).__name__}) in {where}",
            allowed="strings as keys",
            action="write str(key) where the result is made",
            where=where,
        )
    return str(key)
