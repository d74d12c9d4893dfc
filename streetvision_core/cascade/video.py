"""A video file in, a verdict over time out: short ones directly, longer ones by key frames, long ones searched first.

Frames are decoded a few at a time and dropped when they are answered, so an hour needs no more memory than a minute.

Example:
    >>> video = open_video(Path("drive.mp4"))                                       # doctest: +SKIP
    >>> predict_video(video, cascade).segments                                      # doctest: +SKIP
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from streetvision_core.cascade.clip import BATCH, ClipVerdict, Mode, Opinion, sum_up
from streetvision_core.cascade.engine import Cascade
from streetvision_core.errors import MissingExtraError, ModelError, VideoBrokenError, VideoSearchError
from streetvision_core.images.video import Moment, Sampling, Video, read_clip, stream
from streetvision_core.models.frame_index import Encoder, FeatureEncoder, Rows, best_stretches, build_index
from streetvision_core.types import Frame, Verdict

Span = tuple[float, float]
Progress = Callable[[str, float], None]
"""Told what is being done and how many seconds of the video are behind."""


@dataclass(frozen=True, slots=True, eq=False)
class Query:
    """What to look for in a long video; with nothing set: road work, as stage 1's head scores it.

    Attributes:
        examples: frames that show it.
        text: words that say it; the encoder must know words.
        spans: stretches another search has found; nothing is searched then.
        found_by: who found them.
    """

    examples: tuple[Frame, ...] = ()
    text: str = ""
    spans: tuple[Span, ...] | None = None
    found_by: str = ""


def choose_mode(video: Video) -> Mode:
    """Which way a video of this length is answered."""
    if video.info.seconds <= video.limits.direct_seconds:
        return "direct"
    return "keyframes" if video.info.seconds <= video.limits.keyframes_seconds else "search"


def predict_video(
    video: Video,
    cascade: Cascade,
    query: Query | None = None,
    store: Path | None = None,
    progress: Progress = lambda what, seconds: None,
    encoder: Encoder | None = None,
) -> ClipVerdict:
    """Answers a video.

    Args:
        video: an opened video; its `limits` hold the thresholds between the ways.
        cascade: answers frames.
        query: what to look for if the video is long; a query makes a short one be searched, too.
        store: folder where indexes of long videos are kept.
        progress: told how far it is.
        encoder: makes the rows that examples and words are compared with; None takes stage 1's features.

    Raises:
        VideoError: nothing in it can be decoded.
        VideoSearchError: words where the encoder knows none, or nothing was found.
    """
    began, limits, length = time.perf_counter(), video.limits, video.info.seconds
    mode: Mode = "search" if query is not None else choose_mode(video)
    notes = video.info.notes
    screening: tuple[tuple[float, float], ...] = ()
    spans = [(0.0, length)]
    if mode == "search":
        spans, screening, more = _search(video, cascade, query or Query(), store, progress, encoder)
        notes = (*notes, *more)
    sampling = {
        "direct": Sampling(limits.direct_step_seconds),
        "keyframes": Sampling(limits.keyframes_step_seconds, limits.scene_score),
        "search": Sampling(limits.keyframes_step_seconds, limits.scene_score),
    }[mode]
    answers = [found for span in spans for found in _answer(_stretch(video, sampling, span), cascade, progress)]
    if not answers:
        raise VideoBrokenError(
            got=f"no picture between {', '.join(f'{a:.1f} and {b:.1f} s' for a, b in spans)} of {video.name}",
            allowed="stretches that can be decoded",
            action="repair the video, or search it in another way",
        )
    opinions, remarks = _ask(video, cascade, spans)
    notes = (*notes, *remarks)
    return sum_up(
        answers,
        spans,
        limits,
        opinions=opinions,
        source=video.name,
        seconds=length,
        mode=mode,
        compute_seconds=time.perf_counter() - began,
        screening=screening,
        notes=notes,
    )


def _search(
    video: Video, cascade: Cascade, query: Query, store: Path | None, progress: Progress, encoder: Encoder | None
) -> tuple[list[Span], tuple[tuple[float, float], ...], tuple[str, ...]]:
    """Stretches worth answering, the score of every frame of the index, and remarks."""
    if query.spans is not None:
        if not query.spans:
            raise VideoSearchError(
                got=f"no stretch of {video.name} found by {query.found_by}",
                allowed="at least one",
                action="ask with other words, or search without --provider",
            )
        return list(query.spans), (), (f"the stretches were found by {query.found_by}; the rest was not looked at",)
    own = FeatureEncoder(cascade.models.backbone, cascade.models.preprocessor)
    used = (encoder or cascade.models.image_text or own) if query.examples or query.text else own
    wanted = _wanted(query, used)
    limits = video.limits
    index = build_index(video, used, limits.index_step_seconds, store, lambda s: progress("indexing", s))
    if wanted is not None:
        scores = np.clip(index.similarity(wanted), 0, 1)
        by = f"likeness to {query.text!r}" if query.text else f"likeness to {len(query.examples)} example frames"
    else:
        scores = 1 / (1 + np.exp(-cascade.head.predict_logit(index.rows.astype(np.float32))))
        by = "stage 1's head, uncalibrated"
    spans = _joined(best_stretches(index.seconds, scores, limits.best_clips, limits.clip_seconds, video.info.seconds))
    notes = [
        f"searched {len(index.seconds)} frames by {by}; answered only the best {sum(b - a for a, b in spans):.0f} s"
    ]
    left = sum(s > 0.5 and not any(a <= t <= b for a, b in spans) for t, s in zip(index.seconds, scores, strict=True))
    if left and wanted is None:
        notes.append(f"{left} more frames scored above 0.5 outside them: raise video.best_clips to answer more")
    return spans, tuple(zip(index.seconds.tolist(), scores.tolist(), strict=True)), tuple(notes)


def _joined(spans: Iterable[Span]) -> list[Span]:
    """Stretches that touch become one, so that a zone across their border stays whole.

    Example:
        >>> _joined([(0.0, 4.0), (4.0, 9.0), (20.0, 30.0)])
        [(0.0, 9.0), (20.0, 30.0)]
    """
    made: list[Span] = []
    for start, end in spans:
        if made and start <= made[-1][1]:
            made[-1] = (made[-1][0], end)
        else:
            made.append((start, end))
    return made


def _wanted(query: Query, encoder: Encoder) -> Rows | None:
    """Rows of what is looked for; None: road work, by the head."""
    rows = [encoder.encode_text(query.text)] if query.text else []
    if query.examples:
        rows.append(encoder.encode(query.examples))
    return np.concatenate(rows) if rows else None


def _ask(video: Video, cascade: Cascade, spans: list[Span]) -> tuple[list[Opinion], tuple[str, ...]]:
    """What the profile's image-text model says of each stretch; if it cannot be asked, the cascade's answer stands."""
    opinions: list[Opinion] = []
    try:
        vlm = cascade.models.video_vlm
        for start, end in spans if vlm is not None else ():
            step = max((end - start) / video.limits.vlm_frames, 0.04)
            clip = read_clip(video, Sampling(step, start_seconds=start, end_seconds=end))
            frames = clip.frames[: video.limits.vlm_frames]
            if vlm is not None and frames:
                opinions.append(Opinion(start, end, vlm.answer(frames).probability(), vlm.name, len(frames)))
    except (ModelError, MissingExtraError) as error:
        return opinions, (f"the image-text model could not be asked, the cascade alone answers: {error.got}",)
    return opinions, ()


def _stretch(video: Video, sampling: Sampling, span: Span) -> Iterator[Moment]:
    whole = span[0] <= 0 and span[1] >= video.info.seconds
    return stream(video, sampling if whole else replace(sampling, start_seconds=span[0], end_seconds=span[1]))


def _answer(moments: Iterable[Moment], cascade: Cascade, progress: Progress) -> Iterator[tuple[float, Verdict]]:
    """Batches go through the cascade and are dropped."""
    batch: list[Moment] = []
    for moment in moments:
        batch.append(moment)
        if len(batch) == BATCH:
            yield from _flush(batch, cascade, progress)
    if batch:
        yield from _flush(batch, cascade, progress)


def _flush(batch: list[Moment], cascade: Cascade, progress: Progress) -> list[tuple[float, Verdict]]:
    verdicts = cascade.predict([moment.frame for moment in batch])
    answered = [(moment.seconds, verdict) for moment, verdict in zip(batch, verdicts, strict=True)]
    progress("answering", answered[-1][0])
    batch.clear()
    return answered
