"""Videos, answered and searched by the champion."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from streetvision_core.cascade.clip import ClipVerdict
from streetvision_core.cascade.engine import Cascade
from streetvision_core.cascade.video import Progress, Query, predict_video
from streetvision_core.images.video import Video
from streetvision_core.loop.tasks.day import Day
from streetvision_core.types import Frame


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
    progress: Progress = lambda what, seconds: None,
) -> ClipVerdict:
    """Finds stretches of a video and answers them.

    Args:
        day: the workspace.
        video: an opened video.
        cascade: answers the stretches.
        examples: images that show what to look for.
        text: words that say it.
        progress: told how far it is.

    Raises:
        VideoSearchError: words where no image-text encoder is.
    """
    return predict_video(video, cascade, Query(tuple(examples), text), _store(day), progress)


def _store(day: Day) -> Path:
    return day.workspace.data / "video"
