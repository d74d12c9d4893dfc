"""Operators and panel of the App's review. Imports fiftyone: only the App's own process loads it.

Everything a reviewer does is recorded in the label store first; the samples only show it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import fiftyone.operators as foo
from fiftyone.operators import types

from streetvision_core.errors import StreetVisionError
from streetvision_core.mining._fiftyone_review import show_decision
from streetvision_core.mining._fiftyone_views import OPEN
from streetvision_core.mining.review_queue import Choice, ReviewQueue
from streetvision_core.types import FAILURE_MODES

PANEL: Final = "streetvision_review"
DAYS_VARIABLE: Final = "STREETVISION_REVIEW_DAYS"
REVIEWER_VARIABLE: Final = "STREETVISION_REVIEWER"
URI: Final = "@streetvision/review/"


def current_id(ctx: Any) -> str | None:
    """The sample in question: the one shown large, else the selected one, else the first of the view."""
    if ctx.current_sample or ctx.selected:
        return str(ctx.current_sample or ctx.selected[0])
    first = ctx.view.limit(1).values("id")
    return str(first[0]) if first else None


def decide(ctx: Any, choice: Choice, tag: str = "", reason: str = "") -> None:
    """Records a decision about the current sample, shows it, and goes on to the next one of the view."""
    sample_id = current_id(ctx)
    if sample_id is None:
        ctx.ops.notify("nothing is left to decide in this view", variant="info")
        return
    sample = ctx.dataset[sample_id]
    after = None if choice == "tag" else _next(ctx, sample_id)
    try:
        reviewer = os.environ[REVIEWER_VARIABLE]
        frame = _queue().decide(sample["day"], sample["name"], choice, reviewer=reviewer, tag=tag, reason=reason)
        show_decision(sample, frame)
    except StreetVisionError as error:
        ctx.ops.notify(str(error), variant="error")
        return
    ctx.ops.notify(f"{sample['name']}: {choice}{' ' + tag if tag else ''}", variant="success")
    _go_on(ctx, sample_id if choice == "tag" else after)


def undo(ctx: Any) -> None:
    """Withdraws this reviewer's newest decision, on whatever frame it was made, and goes back to that frame."""
    queue, reviewer = _queue(), os.environ[REVIEWER_VARIABLE]
    last = queue.store.last_of(reviewer)
    found = ctx.dataset.match({"name": last.query}).values("id") if last is not None else []
    if not found:
        ctx.ops.notify("there is nothing here to undo", variant="info")
        return
    sample = ctx.dataset[found[0]]
    try:
        show_decision(sample, queue.undo(sample["day"], sample["name"], reviewer))
    except StreetVisionError as error:
        ctx.ops.notify(str(error), variant="error")
        return
    ctx.ops.notify(f"{sample['name']}: the last decision is withdrawn", variant="success")
    _go_on(ctx, found[0])


def _queue() -> ReviewQueue:
    return ReviewQueue.of_data(Path(os.environ[DAYS_VARIABLE]).parent)


def _next(ctx: Any, sample_id: str) -> str | None:
    ids = ctx.view.values("id")
    at = ids.index(sample_id) if sample_id in ids else -1
    return ids[at + 1] if at + 1 < len(ids) else None


def _go_on(ctx: Any, sample_id: str | None) -> None:
    if ctx.current_sample and sample_id:
        ctx.ops.open_sample(id=sample_id)
    elif ctx.current_sample:
        ctx.ops.close_sample()
    else:
        ctx.ops.set_selected_samples([sample_id] if sample_id else [])
    ctx.ops.reload_samples()


class _Decide(foo.Operator):  # type: ignore[misc]
    """One choice as an operator, so that a key, the App's command list and a button can run it."""

    choice: Choice
    name: str
    label: str

    @property
    def config(self) -> Any:
        return foo.OperatorConfig(name=self.name, label=self.label)

    def execute(self, ctx: Any) -> None:
        decide(ctx, self.choice, reason=ctx.params.get("reason", ""))


class Accept(_Decide):
    """The label is right."""

    choice, name, label = "accept", "accept", "Review: accept the label"


class Flip(_Decide):
    """The other label is right."""

    choice, name, label = "flip", "flip", "Review: flip the label"


class SetAside(_Decide):
    """Nobody can tell; the frame leaves the data."""

    choice, name, label = "set-aside", "set_aside", "Review: set the frame aside"


class Undo(foo.Operator):  # type: ignore[misc]
    """The last decision was a slip of the finger."""

    @property
    def config(self) -> Any:
        return foo.OperatorConfig(name="undo", label="Review: undo my last decision")

    def execute(self, ctx: Any) -> None:
        undo(ctx)


class TagMode(foo.Operator):  # type: ignore[misc]
    """Tags one failure mode at once; the keys run it."""

    @property
    def config(self) -> Any:
        return foo.OperatorConfig(name="tag_mode", label="Review: tag a given failure mode", unlisted=True)

    def execute(self, ctx: Any) -> None:
        decide(ctx, "tag", ctx.params["mode"])


class TagFailureMode(foo.Operator):  # type: ignore[misc]
    """Asks for a failure mode, or any word, and tags it."""

    @property
    def config(self) -> Any:
        return foo.OperatorConfig(name="tag_failure_mode", label="Review: tag a failure mode")

    def resolve_input(self, ctx: Any) -> Any:
        asked, modes = types.Object(), types.AutocompleteView()
        for mode in FAILURE_MODES:
            modes.add_choice(mode, label=mode)
        asked.str("mode", label="Failure mode, or a word of your own", required=True, view=modes)
        return types.Property(asked, view=types.View(label="Tag this frame"))

    def execute(self, ctx: Any) -> None:
        decide(ctx, "tag", ctx.params["mode"])


class DecideBecause(foo.Operator):  # type: ignore[misc]
    """Asks for a choice and why; the why is kept with the decision."""

    @property
    def config(self) -> Any:
        return foo.OperatorConfig(name="decide_because", label="Review: decide and say why")

    def resolve_input(self, ctx: Any) -> Any:
        asked, choices = types.Object(), types.RadioGroup()
        for choice in ("accept", "flip", "set-aside"):
            choices.add_choice(choice, label=choice)
        asked.enum("choice", choices.values(), label="Decision", required=True, view=choices)
        asked.str("reason", label="Why", required=True)
        return types.Property(asked, view=types.View(label="Decide and say why"))

    def execute(self, ctx: Any) -> None:
        decide(ctx, ctx.params["choice"], reason=ctx.params["reason"])


class ReviewPanel(foo.Panel):  # type: ignore[misc]
    """What is known of the current frame, and a button per key.

    It has no text field: the App would put the cursor there, and the keys would write instead of deciding.
    """

    @property
    def config(self) -> Any:
        return foo.PanelConfig(name=PANEL, label="Review", icon="fact_check", surfaces="grid modal")

    def on_load(self, ctx: Any) -> None:
        self._show(ctx)

    def on_change_selected(self, ctx: Any) -> None:
        self._show(ctx)

    def on_change_current_sample(self, ctx: Any) -> None:
        self._show(ctx)

    def on_change_view(self, ctx: Any) -> None:
        self._show(ctx)

    def on_button(self, ctx: Any) -> None:
        decide(ctx, ctx.params["choice"])

    def on_undo(self, ctx: Any) -> None:
        undo(ctx)

    def on_prompt(self, ctx: Any) -> None:
        ctx.prompt(f"{URI}{ctx.params['operator']}")

    def render(self, ctx: Any) -> Any:
        panel = types.Object()
        panel.md(ctx.panel.get_state("told") or "Nothing is left to decide in this view.", name="told_text")
        if picture := ctx.panel.get_state("picture"):
            panel.view("shown", types.ImageView(height="240px", alt=picture), default=picture)
        row = panel.h_stack("choices", gap=1)
        for number, choice in enumerate(("accept", "flip", "set-aside"), 1):
            label = f"{number} {choice.capitalize().replace('-', ' ')}"
            params = {"choice": choice}
            row.btn(f"choice_{number}", label=label, on_click=self.on_button, params=params, variant="contained")
        more = panel.h_stack("more", gap=1)
        for number, (operator, label) in enumerate(
            {"tag_failure_mode": "Tag…", "decide_because": "Say why…"}.items(), 4
        ):
            params = {"operator": operator}
            more.btn(operator, label=f"{number} {label}", on_click=self.on_prompt, params=params, variant="outlined")
        more.btn("undo", label="U Undo", on_click=self.on_undo, variant="outlined")
        modes = ", ".join(f"{number} {mode}" for number, mode in enumerate(FAILURE_MODES, 1))
        panel.md(f"Keys: the numbers on the buttons; Shift and a number tags: {modes}", name="keys")
        return types.Property(panel)

    def _show(self, ctx: Any) -> None:
        sample_id = current_id(ctx)
        sample = ctx.dataset[sample_id] if sample_id else None
        ctx.panel.set_state("told", "" if sample is None else _told(ctx, sample))
        # Where the App shows the frame large anyway, the panel leaves it out.
        picture = "" if sample is None or ctx.current_sample else f"/media?filepath={quote(sample['filepath'])}"
        ctx.panel.set_state("picture", picture)


def _told(ctx: Any, sample: Any) -> str:
    waiting = ctx.dataset.match({"review": OPEN}).count() if ctx.dataset.has_sample_field("review") else 0
    label = sample["truth"].label if sample["truth"] else "none yet"
    answer = sample["prediction"]
    decided = sample["review"] not in (None, "", OPEN)
    lines = [
        f"**{sample['name']}** of {sample['day']}, {sample['origin']}, era {sample['era']}",
        f"**label** {label} (by {sample['annotator'] or 'nobody'})",
        f"**answer** {answer.label}, sure to {answer.confidence:.1%}, at {sample['exit_stage']}",
        f"**mined because** {', '.join(sample['reasons'] or []) or 'it was not'}",
        f"**failure modes** {', '.join([*(sample['modes'] or []), *(sample['reviewed_modes'] or [])]) or 'none told'}",
        f"**decided** {sample['review']} by {sample['reviewer']}" if decided else "**decided** not yet",
        f"{waiting} frames wait for review",
    ]
    return "\n\n".join(lines)


def register(plugin: Any) -> None:
    """Called by FiftyOne when it loads the plugin."""
    for operator in (Accept, Flip, SetAside, Undo, TagMode, TagFailureMode, DecideBecause, ReviewPanel):
        plugin.register(operator)
