"""The review queue, which is easily forgotten: how many mined frames nobody has labelled, and since when."""

from __future__ import annotations

import datetime as dt

from streetvision_core.mining.review_queue import ReviewQueue


def frames_that_wait(queue: ReviewQueue, today: dt.date) -> str:
    """A sentence about the mined frames without a label of anybody; empty where there is none.

    Args:
        queue: what was put before reviewers, and the label store.
        today: the date now, UTC.
    """
    labels = queue.store.labels()
    waiting = {day: sum(a.sha256 not in labels for a in queue.shown(day)) for day in queue.days()}
    waiting = {day: frames for day, frames in waiting.items() if frames}
    if not waiting:
        return ""
    oldest = next(iter(waiting))
    days = max(0, (today - dt.date.fromisoformat(oldest[:10])).days)
    since = f"the oldest since {oldest[:10]}" + (f", {days} day{'s' if days != 1 else ''} ago" if days else "")
    frames = sum(waiting.values())
    what = "1 mined frame has no label and waits" if frames == 1 else f"{frames} mined frames have no label and wait"
    return f"{what} for a person, {since}: streetvision review"
