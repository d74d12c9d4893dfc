"""Videos, answered and searched by the champion."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from streetvision_core.cascade.clip import ClipVerdict
from streetvision_core.cascade.engine import Cascade
from streetvision_core.cascade.video import Progress, Query, predict_video
from streetvision_core.data import scenes
from streetvision_core.data.sources import read_labels
from streetvision_core.images.video import Video, open_video
from streetvision_core.images.video_writing import encode_video
from streetvision_core.mining.seeds import FREE
from streetvision_core.models.twelvelabs import TwelveLabsSearch
from streetvision_core.settings import Settings, VideoSettings
from streetvision_core.types import Frame

_DRIVES: Final = FREE[210_000:]
_DRIVE_SECONDS: Final = 16
_DRIVE_FPS: Final = 4
Provider = Literal["local", "twelvelabs"]
ROADWORK_WORDS: Final = "road work: traffic cones, barriers, road work signs or workers on the road"


@dataclass(frozen=True, slots=True, eq=False)
class LabelledClip:
    """A video that is at hand, with what is known of its seconds.

    Attributes:
        name: its name.
        video: opened.
        labels: (seconds, 1 road work, 0 none, None ambiguous).
        synthetic: whether it was rendered.
    """

    name: str
    video: Video
    labels: tuple[tuple[float, int | None], ...]
    synthetic: bool


def labelled_clips(streets: Path, limits: VideoSettings, count: int) -> list[LabelledClip]:
    """Up to `count` dashcam clips of a collection of street photos; where it is absent, rendered drives as MP4."""
    found = list(_collection(streets, limits, count))
    return found or [_rendered(limits, number) for number in range(count)]


def agreement(clip: LabelledClip, answer: ClipVerdict) -> dict[str, Any]:
    """Labels against what was found, in labelled moments; those outside what was answered are left out."""

    def found(at: float) -> bool:
        return any(s.start_seconds <= at <= s.end_seconds for s in answer.segments)

    looked = [(at, y) for at, y in clip.labels if y is not None and any(a <= at <= b for a, b in answer.examined)]
    work, none = [at for at, y in looked if y], [at for at, y in looked if not y]
    first = min((at for at in work if found(at)), default=float("nan"))
    return {
        "clip": clip.name,
        "labelled_roadwork": len(work),
        "found": sum(map(found, work)),
        "labelled_none": len(none),
        "false_alarms": sum(map(found, none)),
        "first_seen_late_by_seconds": first - min(work, default=0),
    }


def _collection(streets: Path, limits: VideoSettings, count: int) -> Iterator[LabelledClip]:
    if not (streets / "labels.csv").exists():
        return
    images = [image for image in read_labels(streets) if image.path.parent.name == "frames_1fps"]
    for city in sorted({image.group for image in images})[:count]:
        # frame 30 of a clip at 30 frames a second is its second 1
        labels = sorted((int(i.path.stem.rsplit("_", 1)[1]) / 30, i.label) for i in images if i.group == city)
        path = streets / "roadwork-clips" / "videos" / f"{city}.mp4"
        yield LabelledClip(city, open_video(path, city, limits), tuple(labels), False)


def _rendered(limits: VideoSettings, number: int) -> LabelledClip:
    made = list(scenes.drive(_DRIVES[number], _DRIVE_SECONDS * _DRIVE_FPS, fps=_DRIVE_FPS))
    data = encode_video((scene.frame.pixels for scene in made), _DRIVE_FPS)
    name = f"rendered drive {number}"
    labels = tuple((i / _DRIVE_FPS, scene.label) for i, scene in enumerate(made))
    return LabelledClip(name, open_video(data, name, limits), labels, True)


def video_folder(settings: Settings) -> Path:
    """Where the indexes of long videos are kept, and the minutes that a provider has counted."""
    return settings.paths.resolve("data") / "video"


def search_video(
    video: Video,
    cascade: Cascade,
    settings: Settings,
    examples: Sequence[Frame] = (),
    text: str = "",
    provider: Provider = "local",
    progress: Progress = lambda what, seconds: None,
) -> ClipVerdict:
    """Finds stretches of a video and answers them.

    Args:
        video: an opened video.
        cascade: answers the stretches.
        settings: the workspace, and the provider's minutes.
        examples: images that show what to look for.
        text: words that say it.
        provider: who searches; TwelveLabs gets the whole video, and its minutes are counted.
        progress: told how far it is.

    Raises:
        VideoSearchError: words where no image-text encoder is, or a provider that failed.
        QuotaError: the provider's minutes are used up; nothing was sent.
    """
    query = Query(tuple(examples), text)
    if provider == "twelvelabs":
        limits = settings.video
        service = TwelveLabsSearch(video_folder(settings) / "twelvelabs.json", limits.twelvelabs_minutes)
        spans = service.find(video, text or ("" if examples else ROADWORK_WORDS), examples, limits.best_clips)
        query = Query(spans=spans, found_by="TwelveLabs")
    return predict_video(video, cascade, query, video_folder(settings), progress)
