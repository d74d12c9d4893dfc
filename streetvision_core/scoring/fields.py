"""Numbers that are checked where they are made: what reports are built of."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import ConfigDict, Field

STRICT: Final = ConfigDict(extra="forbid", allow_inf_nan=False)
"""A typing error in a notebook cannot silently empty a section."""

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
