"""The work of a day, one function per thing a notebook does; each can run alone on a new workspace."""

from dataclasses import asdict as as_dict

from streetvision_core.data.observe import boxes_of
from streetvision_core.loop.tasks import sections
from streetvision_core.loop.tasks.annotation import weak_summary
from streetvision_core.loop.tasks.challenge import challenge_set
from streetvision_core.loop.tasks.champion import ensure_champion, load_cascade
from streetvision_core.loop.tasks.day import Day, open_day
from streetvision_core.loop.tasks.doubts import label_doubts, likely_label_errors
from streetvision_core.loop.tasks.drift import watch_drift
from streetvision_core.loop.tasks.evaluation import (
    challenger_report,
    evaluate_champion,
    evaluate_photos,
    evaluation_text,
)
from streetvision_core.loop.tasks.facing import face_challenge
from streetvision_core.loop.tasks.labels import label_curves, label_ratios, photo_labels, stream_labels
from streetvision_core.loop.tasks.memory import measure_memory
from streetvision_core.loop.tasks.mining import load_mined, mine, picture
from streetvision_core.loop.tasks.photos import classify_photos
from streetvision_core.loop.tasks.promotion import (
    compare_versions,
    hold_contest,
    learned_from,
    promote_or_refuse,
    why_it_waits,
)
from streetvision_core.loop.tasks.quantization import quantize_models
from streetvision_core.loop.tasks.queries import answer_demo_stream, queries_of
from streetvision_core.loop.tasks.rendered import heldout_table
from streetvision_core.loop.tasks.story import build_story, show, tell
from streetvision_core.loop.tasks.synthesis import plan_synthesis, synthesize
from streetvision_core.loop.tasks.tables import learning_table, real_table
from streetvision_core.loop.tasks.training import calibrate_challenger, train_challenger
from streetvision_core.loop.tasks.video import agreement, labelled_clips, search_video, watch_video
from streetvision_core.loop.tasks.week import build_week
from streetvision_core.loop.tasks.workbench import fill_workbench, open_review

__all__ = [
    "Day",
    "agreement",
    "answer_demo_stream",
    "as_dict",
    "boxes_of",
    "build_story",
    "build_week",
    "calibrate_challenger",
    "challenge_set",
    "challenger_report",
    "classify_photos",
    "compare_versions",
    "ensure_champion",
    "evaluate_champion",
    "evaluate_photos",
    "evaluation_text",
    "face_challenge",
    "fill_workbench",
    "heldout_table",
    "hold_contest",
    "label_curves",
    "label_doubts",
    "label_ratios",
    "labelled_clips",
    "learned_from",
    "learning_table",
    "likely_label_errors",
    "load_cascade",
    "load_mined",
    "measure_memory",
    "mine",
    "open_day",
    "open_review",
    "photo_labels",
    "picture",
    "plan_synthesis",
    "promote_or_refuse",
    "quantize_models",
    "queries_of",
    "real_table",
    "search_video",
    "sections",
    "show",
    "stream_labels",
    "synthesize",
    "tell",
    "train_challenger",
    "watch_drift",
    "watch_video",
    "weak_summary",
    "why_it_waits",
]
