"""Files of nights and reports that name a photograph: taken out of tables and JSON, pages removed whole."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from streetvision_core.storage import atomic_write_json, atomic_write_text

Outcome = Literal["edited", "removed", ""]
_LINES: Final = (".csv", ".jsonl", ".txt", ".tsv")
_TEXTS: Final = (*_LINES, ".json", ".html", ".ipynb", ".md")


@dataclass(frozen=True)
class Mentions:
    """What names the photographs: their digests, and the names of their queries.

    Attributes:
        digests: hex sha256.
        queries: names such as `query-7`.
    """

    digests: frozenset[str]
    queries: frozenset[str]

    def names(self, *texts: str) -> bool:
        """Whether one of some texts is a name of a photograph, or begins with it as the name of a crop does."""
        return any(text in self.digests or text in self.queries or self._found(text) for text in texts)

    def clean(self, path: Path) -> Outcome:
        """Takes every mention out of a text file, or removes the file where its form does not allow that."""
        if path.suffix not in _TEXTS:
            return ""
        text = path.read_text(encoding="utf-8", errors="replace")
        if not self._found(text):
            return ""
        if path.suffix in _LINES:
            kept = [line for line in text.splitlines(keepends=True) if not self._found(line)]
            atomic_write_text(path, "".join(kept))
            return "edited"
        if path.suffix == ".json":
            try:
                atomic_write_json(path, self._without(json.loads(text)))
                return "edited"
            except (ValueError, RecursionError):
                pass  # no JSON that can be written again
        path.unlink()
        return "removed"

    def _without(self, value: Any) -> Any:
        """A JSON value without the entries that are about a photograph."""
        if isinstance(value, list):
            return [self._without(item) for item in value if not self._is_about(item)]
        if isinstance(value, dict):
            return {k: self._without(v) for k, v in value.items() if not self._found(k) and not self._is_plain(v)}
        return value

    def _is_about(self, item: Any) -> bool:
        """Whether an entry of a list names a photograph itself, not only somewhere below."""
        if isinstance(item, dict):
            return any(self._is_plain(value) for value in item.values())
        return self._is_plain(item)

    def _is_plain(self, value: Any) -> bool:
        return isinstance(value, str) and self._found(value)

    def _found(self, text: str) -> bool:
        return self._pattern.search(text) is not None

    @property
    def _pattern(self) -> re.Pattern[str]:
        # re keeps compiled patterns
        names = [re.escape(name) for name in sorted(self.queries)]
        return re.compile("|".join([*sorted(self.digests), *(f"(?<![\\w-]){name}(?!\\d)" for name in names)]))
