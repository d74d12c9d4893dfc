"""The work of a day, one function per thing a notebook does; each can run alone on a new workspace."""

from dataclasses import asdict as as_dict

from streetvision_core.data.observe import boxes_of
from streetvision_core.loop.tasks import sections
from streetvision_core.loop.tasks.annotation import weak_summary
from streetvision_core.loop.tasks.bridge import (
    challenge_set,
    champion_of,
    classify_photos,
    evaluate_champion,
    label_doubts,
    load_cascade,
    observer_of,
    watch_drift,
)
from streetvision_core.loop.tasks.day import Day, open_day
from streetvision_core.loop.tasks.mining import load_mined, mine, picture
from streetvision_core.loop.tasks.queries import answer_demo_stream, queries_of
from streetvision_core.loop.tasks.story import build_story, save_plot, save_section, show, tell
from streetvision_core.loop.tasks.synthesis import plan_synthesis, synthesize
from streetvision_core.loop.tasks.week import build_week
from streetvision_core.loop.tasks.workbench import fill_workbench, open_review

__all__ = [
    "Day",
    "answer_demo_stream",
    "as_dict",
    "boxes_of",
    "build_story",
    "build_week",
    "challenge_set",
    "champion_of",
    "classify_photos",
    "evaluate_champion",
    "fill_workbench",
    "label_doubts",
    "load_cascade",
    "load_mined",
    "mine",
    "observer_of",
    "open_day",
    "open_review",
    "picture",
    "plan_synthesis",
    "queries_of",
    "save_plot",
    "save_section",
    "sections",
    "show",
    "synthesize",
    "tell",
    "watch_drift",
    "weak_summary",
]
