"""Saved views: of each day, and of the whole project. Only for the workbench's own process."""

from __future__ import annotations

from typing import Any, Final

import fiftyone as fo
from fiftyone import ViewField as Field

from streetvision_core.mining._fiftyone_objects import ANNOTATED
from streetvision_core.mining._fiftyone_samples import CLASSES

NEEDS_REVIEW: Final = "needs review"
OPEN: Final = "open"
"""The state of a sample that waits for a decision."""
_MOST_SHOWN: Final = 100
_DRAWN: Final = ("prediction", "truth", ANNOTATED)
_ROADWORK: Final = {"prediction": "#0072b2", "truth": "#d55e00"}
_REST: Final = ("#009e73", "#cc79a7", "#f0e442")
"""All of them can be told apart by colour-blind people: Okabe and Ito, "Color Universal Design", 2008."""
_SUSPICIOUS: Final = 0.8
"""Mistakenness from which on a label is put forward, beside those cleanlab suspects: the answer contradicts it and is
sure to about 0.8."""


def save_day_views(dataset: Any, view: Any, day: str) -> list[str]:
    """The views of one day."""
    hardest = view.sort_by("hardness", reverse=True).limit(_MOST_SHOWN)
    return _save(
        dataset,
        {
            f"{day} all": view,
            f"{day} mined": view.match_tags("mined").sort_by("cascade_hardness", reverse=True),
            f"{day} hardest": hardest,
            f"{day} wrong": view.match(Field("wrong")),
            f"{day} near-duplicates": view.match_tags("near-duplicate"),
            f"{day} leaks": view.match_tags("leak"),
        },
    )


def save_project_views(dataset: Any) -> list[str]:
    """The views a reviewer opens; `hardest today` is of the newest day."""
    newest = dataset.match(Field("day") == max(dataset.distinct("day")))
    said, is_true = Field("prediction.label"), Field("truth.label")
    return _save(
        dataset,
        {
            NEEDS_REVIEW: dataset.match(Field("review") == OPEN).sort_by("cascade_hardness", reverse=True),
            "hardest today": newest.sort_by("hardness", reverse=True).limit(_MOST_SHOWN),
            "detectors disagree": dataset.match(Field("reasons").contains("detectors disagree")).sort_by(
                "detector_disagreement", reverse=True
            ),
            "likely label errors": dataset.match(Field("suspect") | (Field("mistakenness") > _SUSPICIOUS)).sort_by(
                "mistakenness", reverse=True
            ),
            "false alarms": dataset.match((said == CLASSES[1]) & (is_true == CLASSES[0])).sort_by(
                "prediction.confidence", reverse=True
            ),
        },
    )


def save_review_workspace(dataset: Any, panel: str) -> None:
    """The App's layout for a review: the samples, and the panel beside them."""
    shown = [fo.Panel(type="Samples", pinned=True), fo.Panel(type=panel)]
    # Without an active child the App draws the tabs and leaves what is below them empty.
    sides = [fo.Space(children=[one], active_child=one.component_id) for one in shown]
    layout = fo.Space(children=sides, orientation="horizontal", sizes=[0.6, 0.4])
    dataset.save_workspace("review", layout, overwrite=True)


def save_look(dataset: Any) -> None:
    """What the App draws at first: answers and labels, road work in a colour for each; boxes coloured by finder."""
    config = dataset.app_config
    config.active_fields = fo.ActiveFields(paths=list(_DRAWN))
    told = [
        {"path": path, "colorByAttribute": "label", "valueColors": [{"value": CLASSES[1], "color": colour}]}
        for path, colour in _ROADWORK.items()
    ]
    by_source = {"path": ANNOTATED, "colorByAttribute": "source"}
    config.color_scheme = fo.ColorScheme(color_by="value", color_pool=list(_REST), fields=[*told, by_source])
    dataset.save()


def forget_day_views(dataset: Any) -> None:
    """Removes the views of days whose samples have gone."""
    kept = set(dataset.distinct("day"))
    for name in dataset.list_saved_views():
        day = name.split(" ")[0]
        if day[:4].isdigit() and day not in kept:
            dataset.delete_saved_view(name)


def _save(dataset: Any, views: dict[str, Any]) -> list[str]:
    for name, chosen in views.items():
        dataset.save_view(name, chosen, overwrite=True)
    return list(views)
