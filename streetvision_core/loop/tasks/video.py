"""Videos, answered and searched by the champion."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

from streetvision_core.cascade.clip import ClipVerdict
from streetvision_core.cascade.engine import Cascade
from streetvision_core.cascade.video import Progress, Query, predict_video
from streetvision_core.images.video import Video
from streetvision_core.loop.tasks.day import Day
from streetvision_core.models.twelvelabs import TwelveLabsSearch
from streetvision_core.types import Frame

Provider = Literal["local", "twelvelabs"]
ROADWORK_WORDS: Final = "road work: traffic cones, barriers, road work signs or workers on the road"


def watch_video(
    day: Day, video: Video, cascade: Cascade, progress: Progress = lambda what, seconds: None
) -> ClipVerdict:
    """Answers a video the way its length asks for; the index of a long one is kept in the workspace."""
    return predict_video(video, cascade, store=_store(day), progress=progress)


def search_video(
    day: Day,
    video: Video,
    cascade: Cascade,
    examples: Sequence[Frame] = (),
    text: str = "",
    provider: Provider = "local",
    progress: Progress = lambda what, seconds: None,
) -> ClipVerdict:
    """Finds stretches of a video and answers them.

    Args:
        day: the workspace.
        video: an opened video.
        cascade: answers the stretches.
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
        limits = day.settings.video
        service = TwelveLabsSearch(_store(day) / "twelvelabs.json", limits.twelvelabs_minutes)
        spans = service.find(video, text or ("" if examples else ROADWORK_WORDS), examples, limits.best_clips)
        query = Query(spans=spans, found_by="TwelveLabs")
    return predict_video(video, cascade, query, _store(day), progress)


def _store(day: Day) -> Path:
    return day.workspace.data / "video"
