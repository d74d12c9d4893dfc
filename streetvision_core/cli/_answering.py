"""One run of `predict`: inputs in, rows out, counts kept, however it ends."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from streetvision_core.cli import _video
from streetvision_core.cli._inputs import Inputs
from streetvision_core.cli._output import INTERRUPTED, NAMED_ERROR, OK, PARTLY, explain, say
from streetvision_core.cli._progress import Pace
from streetvision_core.cli._rows import Row, Sink, name_of
from streetvision_core.errors import ImageError, MissingExtraError, StreetVisionError, VideoError

if TYPE_CHECKING:
    from streetvision_core.cascade.engine import Cascade
    from streetvision_core.images.folders import Found
    from streetvision_core.settings import Settings
    from streetvision_core.types import Frame, Verdict

_BATCH: Final = 8
_BATCH_PIXELS: Final = 48_000_000
_BATCH_SECONDS: Final = 1.0
"""A row is shown at least this often, where photos are answered that quickly."""
_SHOWN_REASONS: Final = 5


class Run:
    """One run over all inputs."""

    def __init__(
        self,
        cascade: Cascade,
        settings: Settings,
        make: Callable[[], Sink],
        threshold: float,
        evidence: bool,
        annotated: Path | None,
    ) -> None:
        self._cascade, self._settings, self._make = cascade, settings, make
        self._threshold, self._evidence, self._annotated = threshold, evidence, annotated
        self._opened: Sink | None = None
        self._pending: list[tuple[Path, Frame]] = []
        self._began = self._flushed = time.monotonic()
        self.counts: Counter[str] = Counter()
        self.skipped: list[tuple[Path, str]] = []

    def all(self, inputs: Inputs) -> int:
        """Answers everything; returns the exit code."""
        pace = Pace("answered", lambda: inputs.total)
        code, end = OK, Row()
        try:
            for found in inputs:
                self._take(found)
                pace.at(self._done)
            self._flush()
            if not self._done and not self.counts["error"]:
                raise self._nothing()
        except KeyboardInterrupt:
            code, end = INTERRUPTED, {"interrupted": True}
        except BrokenPipeError:  # whoever reads has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return OK
        except StreetVisionError as error:
            if self._opened is None:
                raise
            explain(error)
            code, end = NAMED_ERROR, {"error": error.to_dict()}
        skipped = [{**name_of(path), "reason": reason} for path, reason in self.skipped]
        self._sink.close({"skipped": skipped, "summary": self._summary(), **end})
        self._say_summary(code == INTERRUPTED)
        return code or (NAMED_ERROR if not self._done else PARTLY if self.counts["error"] else OK)

    @property
    def _sink(self) -> Sink:
        """Opened with the first row, so that an error before it is the only thing that is printed."""
        if self._opened is None:
            self._opened = self._make()
        return self._opened

    @property
    def _done(self) -> int:
        return self.counts["photo"] + self.counts["video"]

    def _take(self, found: Found) -> None:
        from streetvision_core.images.decode import read_image

        if found.reason:
            self.skipped.append((found.path, found.reason))
            return
        try:
            if found.error is not None:
                raise found.error
            if found.is_video:
                self._flush()
                self._watch(found.path)
                return
            frame = read_image(found.path, self._settings.decode)
        except (ImageError, VideoError, MissingExtraError) as error:
            self._report(found.path, error)
            return
        self._pending.append((found.path, frame))
        pixels = sum(frame.width * frame.height for _, frame in self._pending)
        waited = time.monotonic() - self._flushed
        if len(self._pending) >= _BATCH or pixels >= _BATCH_PIXELS or waited >= _BATCH_SECONDS or not self._done:
            self._flush()

    def _flush(self) -> None:
        batch, self._pending = self._pending, []
        if batch:
            verdicts = self._cascade.predict([frame for _, frame in batch])
            for (path, frame), verdict in zip(batch, verdicts, strict=True):
                self._photo(path, frame, verdict)
        self._flushed = time.monotonic()

    def _photo(self, path: Path, frame: Frame, verdict: Verdict) -> None:
        row: Row = {**name_of(path), "width": frame.width, "height": frame.height, **verdict.to_dict()}
        row["roadwork"] = verdict.p_roadwork > self._threshold
        if not self._evidence:
            row.pop("evidence")
        if self._annotated is not None:
            from streetvision_core.cli._annotated import save

            row["annotated"] = name_of(save(path, frame, verdict, row["roadwork"], self._annotated))["path"]
        self.counts.update(photo=1, roadwork=int(row["roadwork"]))
        self._sink.photo(row)

    def _watch(self, path: Path) -> None:
        answer = _video.watch(path, self._settings, self._cascade, self._evidence)
        answer["roadwork"] = answer["p_roadwork"] > self._threshold
        self.counts.update(video=1, video_roadwork=int(answer["roadwork"]))
        self._sink.video({**name_of(path), **answer})

    def _report(self, path: Path, error: StreetVisionError) -> None:
        from streetvision_core.images.files import printable

        self.counts["error"] += 1
        name = printable(path)
        say((name, "yellow"), f": {type(error).__name__}: {error.got.removesuffix(f' from {name}')}; {error.action}")
        self._sink.error({**name_of(path), **error.to_dict()})

    def _summary(self) -> Row:
        counts = self.counts
        return {
            "photos": counts["photo"],
            "photos_with_roadwork": counts["roadwork"],
            "videos": counts["video"],
            "videos_with_roadwork": counts["video_roadwork"],
            "unreadable": counts["error"],
            "skipped": len(self.skipped),
            "seconds": round(time.monotonic() - self._began, 3),
        }

    def _say_summary(self, interrupted: bool) -> None:
        s = self._summary()
        parts = [f"{_count(s['photos'], 'photo')}, {s['photos_with_roadwork']} with road work"]
        if s["videos"]:
            parts.append(f"{_count(s['videos'], 'video')}, {s['videos_with_roadwork']} with road work")
        if s["unreadable"]:
            parts.append(f"{s['unreadable']} could not be read (see above)")
        if self.skipped:
            parts.append(f"{len(self.skipped)} not looked at ({self._reasons()})")
        start = "interrupted after " if interrupted else ""
        rest = "; the rest was not looked at" if interrupted else ""
        say(f"{start}{'; '.join(parts)}; {s['seconds']:.1f} s, model {self._cascade.version}{rest}")

    def _reasons(self) -> str:
        common = Counter(reason for _, reason in self.skipped).most_common()
        shown = [f"{count} {reason}" for reason, count in common[:_SHOWN_REASONS]]
        rest = sum(count for _, count in common[_SHOWN_REASONS:])
        return ", ".join([*shown, *([f"{rest} others"] if rest else [])])

    def _nothing(self) -> ImageError:
        from streetvision_core.errors import NoImagesError

        left = f" ({len(self.skipped)} files not looked at: {self._reasons()})" if self.skipped else ""
        return NoImagesError(
            got=f"no picture and no video{left}",
            allowed="files or folders with pictures or videos",
            action="check the path; --json names each file that was not looked at",
        )


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
