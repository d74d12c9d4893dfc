"""Trains the head: every candidate in one pass over stored features, the best one kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from streetvision_core.data.table import FeatureTable
from streetvision_core.errors import DataError
from streetvision_core.models.head import Head
from streetvision_core.settings import TrainingSettings
from streetvision_core.training import selection
from streetvision_core.training._fit import Fit, fit_specs, mean_layers
from streetvision_core.training._space import Standardiser
from streetvision_core.training.folds import group_folds
from streetvision_core.training.spec import Candidate, CandidateSpec, default_specs
from streetvision_core.training.threads import one_thread
from streetvision_core.training.weights import photo_weights, row_weights
from streetvision_core.types import Split

Progress = Callable[[int, int], None]
"""Called with units done and units in all."""

_FOLDS: Final = 4
FITS: Final = 5
"""Fits of the chosen recipe, with other seeds, whose mean answers: one alone is right on a few photos more or fewer by
luck (decision 26)."""
_SEED_STEP: Final = 1000
_SPEC_NOTE: Final = "candidate"


@dataclass(frozen=True, slots=True, eq=False)
class TrainedHead:
    """The chosen head and how all candidates did.

    Attributes:
        head: the best candidate; its notes name the recipe.
        leaderboard: every candidate, best first.
        rows: labelled rows used, by split.
        seconds: wall time of the training.
    """

    head: Head
    leaderboard: list[Candidate]
    rows: dict[str, int]
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form, without the weights."""
        board = [c.to_dict() for c in self.leaderboard]
        chosen = self.head.notes[_SPEC_NOTE]
        return {"chosen": chosen, "leaderboard": board, "rows": self.rows, "seconds": round(self.seconds, 2)}


@contextmanager
def progress_bar(description: str) -> Iterator[Progress]:
    """A terminal progress bar to hand over as `progress`."""
    from rich.progress import Progress as Bar

    with Bar(transient=True) as bar:
        task = bar.add_task(description, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def train_heads(
    table: FeatureTable,
    settings: TrainingSettings,
    seed: int,
    progress: Progress | None = None,
    specs: Sequence[CandidateSpec] | None = None,
) -> TrainedHead:
    """Fits all candidates on TRAIN rows, picks one on SELECT rows and fits it again on both.

    Rows of unknown label or weight 0 are left out. Era variants of one photo share its weight. The result depends on
    nothing but the arguments.

    Args:
        table: features with splits.
        settings: grid and epochs.
        seed: of initial values, row order and ties.
        progress: called as candidates advance.
        specs: other candidates than `default_specs(settings)`.

    Raises:
        DataError: TRAIN lacks a class, or SELECT has no labelled row.
    """
    with one_thread():
        return _train_heads(table, settings, seed, progress, specs)


def _train_heads(
    table: FeatureTable,
    settings: TrainingSettings,
    seed: int,
    progress: Progress | None,
    specs: Sequence[CandidateSpec] | None,
) -> TrainedHead:
    started = time.perf_counter()
    train, select = usable(table, Split.TRAIN), usable(table, Split.SELECT)
    _check_rows(train, select)
    todo = list(specs) if specs is not None else default_specs(settings)
    space = Standardiser.fit(train.features, photo_weights(train.ids, train.weights))
    weights = {b: row_weights(train, b, settings.real_share) for b in {spec.balance for spec in todo}}
    x, x_select = space(train.features), space(select.features)
    masks = np.stack([weights[spec.balance] for spec in todo], axis=1)
    fit = fit_specs(x, train.labels, masks, todo, settings.epochs, seed, progress)
    board = _score(fit, x, x_select, train, select, masks, todo)
    best = _best(board, fit.logits(x_select), select, seed)
    board[best] = replace(board[best], chosen=True)
    head = _refit(table, todo[best], settings, seed)
    ordered = sorted(board, key=lambda c: (not c.chosen, -c.select_mcc, c.select_log_loss, c.parameters))
    rows = {str(Split.TRAIN): len(train), str(Split.SELECT): len(select)}
    return TrainedHead(head, ordered, rows, time.perf_counter() - started)


def _refit(table: FeatureTable, spec: CandidateSpec, settings: TrainingSettings, seed: int) -> Head:
    """The chosen recipe on TRAIN and SELECT: once it has chosen, SELECT is worth more as training rows."""
    rows = table.select(np.flatnonzero(_teaches(table)))
    space = Standardiser.fit(rows.features, photo_weights(rows.ids, rows.weights))
    x, weights = space(rows.features), row_weights(rows, spec.balance, settings.real_share)[:, None]
    fits = [fit_specs(x, rows.labels, weights, [spec], settings.epochs, s).layers(0) for s in _seeds(spec, seed)]
    weight_layers, biases = mean_layers(fits)
    notes = {_SPEC_NOTE: spec.to_dict(), "train_rows": len(rows), "seed": seed, "epochs": settings.epochs}
    notes["fits"] = len(fits)
    return Head(space.mean, space.scale, weight_layers, biases, table.backbone, table.preprocessing, notes)


def _seeds(spec: CandidateSpec, seed: int) -> list[int]:
    """Seeds of the fits of one recipe; scikit-learn's has nothing random in it."""
    return [seed] if spec.kind == "baseline" else [seed + _SEED_STEP * k for k in range(FITS)]


def honest_logits(
    table: FeatureTable, head: Head, settings: TrainingSettings, seed: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Logits that no row had a part in: out-of-fold on TRAIN and SELECT, the head's own elsewhere.

    A head separates the rows it was fitted on far better than new ones; whoever learns how much to trust it next to
    other evidence must see how it does on rows it has not seen. The head's recipe is trained again on group folds of
    both, as often and with the same seeds as the head.

    Args:
        table: features with splits.
        head: the head; its notes name the recipe.
        settings: for the number of epochs.
        seed: of folds and initial values.

    Returns:
        float64 [N] logits and a boolean [N] that is False where no honest logit could be had: TRAIN and SELECT
        rows that are unlabelled, have weight 0, or whose class has too few groups for folds.
    """
    head.check(table.backbone, table.preprocessing)
    logits, honest = head.predict_logit(table.features), ~(table.in_split(Split.TRAIN) | table.in_split(Split.SELECT))
    rows = np.flatnonzero(_teaches(table))
    train, spec = table.select(rows), _spec_of(head)
    x = Standardiser(head.mean, head.scale)(train.features)
    answers = [_out_of_fold(x, train, spec, settings, s) for s in _seeds(spec, seed)]
    known = ~np.isnan(answers).any(axis=0)
    logits[rows[known]] = np.mean(answers, axis=0)[known]
    honest[rows[known]] = True
    return logits, honest


def _out_of_fold(
    x: npt.NDArray[np.float32], train: FeatureTable, spec: CandidateSpec, settings: TrainingSettings, seed: int
) -> npt.NDArray[np.float64]:
    """Logits [N] by heads that have not seen the row's group; NaN where a class has too few groups for folds."""
    weights = row_weights(train, spec.balance, settings.real_share)
    strata = [f"{y}/{o}" for y, o in zip(train.labels, train.origins, strict=True)]
    fold = group_folds(train.groups, strata, _FOLDS, seed)
    used = [f for f in range(_FOLDS) if (fold == f).any() and _both_classes(train.labels[fold != f])]
    logits = np.full(len(train), np.nan)
    if not used:
        return logits
    masks = np.stack([_hidden(weights, fold == f) for f in used], axis=1)
    out = fit_specs(x, train.labels, masks, [spec] * len(used), settings.epochs, seed).logits(x)
    for column, f in enumerate(used):
        logits[fold == f] = out[fold == f, column]
    return logits


def usable(table: FeatureTable, split: Split) -> FeatureTable:
    """The rows of a split with a known label and a positive weight."""
    return table.select(_usable_mask(table, split))


def _usable_mask(table: FeatureTable, split: Split) -> npt.NDArray[np.bool_]:
    return np.asarray(table.in_split(split) & (table.labels >= 0) & (table.weights > 0), np.bool_)


def _teaches(table: FeatureTable) -> npt.NDArray[np.bool_]:
    """The rows the finished head is fitted on."""
    return _usable_mask(table, Split.TRAIN) | _usable_mask(table, Split.SELECT)


def _hidden(weights: npt.NDArray[np.float64], hide: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    kept = np.where(hide, 0.0, weights)
    return np.asarray(kept / kept[~hide].mean(), np.float64)


def _spec_of(head: Head) -> CandidateSpec:
    """The recipe in the head's notes; a head from elsewhere is stood in for by the baseline."""
    noted = head.notes.get(_SPEC_NOTE)
    return CandidateSpec.from_dict(noted) if noted else default_specs(TrainingSettings())[0]


def _score(
    fit: Fit,
    x: npt.NDArray[np.float32],
    x_select: npt.NDArray[np.float32],
    train: FeatureTable,
    select: FeatureTable,
    masks: npt.NDArray[np.float64],
    specs: Sequence[CandidateSpec],
) -> list[Candidate]:
    share = photo_weights(select.ids, select.weights)
    logits = fit.logits(x_select)
    cells = selection.confusion(logits, select.labels, share).sum(axis=0)
    mcc = selection.weighted_mcc(cells)
    accuracy = (cells[:, 0] + cells[:, 3]) / cells.sum(axis=1)
    loss = selection.scaled_log_loss(logits, select.labels, share)
    on_train = fit.logits(x)
    train_loss = [selection.log_loss(on_train[:, [k]], train.labels, masks[:, k]).item() for k in range(len(specs))]
    return [
        Candidate(spec, spec.parameters(train.dim), float(mcc[k]), float(loss[k]), float(accuracy[k]), train_loss[k])
        for k, spec in enumerate(specs)
    ]


def _best(board: Sequence[Candidate], logits: npt.NDArray[np.float64], select: FeatureTable, seed: int) -> int:
    leader = max(range(len(board)), key=lambda k: board[k].select_mcc)
    share = photo_weights(select.ids, select.weights)
    cells = selection.confusion(logits[:, [leader]], select.labels, share)[:, 0]
    return selection.choose(board, selection.mcc_standard_error(cells, select.groups, seed))


def _both_classes(labels: npt.NDArray[np.int8]) -> bool:
    return bool((labels == 1).any() and (labels == 0).any())


def _check_rows(train: FeatureTable, select: FeatureTable) -> None:
    if not _both_classes(train.labels) or len(select) == 0:
        counts = {int(v): int((train.labels == v).sum()) for v in (0, 1)}
        raise DataError(
            got=f"{counts[1]} road-work and {counts[0]} other rows in TRAIN, {len(select)} labelled rows in SELECT",
            allowed="both classes in TRAIN and at least one labelled row in SELECT, weights above 0",
            action="label more frames, or assign the splits again with other fractions",
            train=counts,
            select=len(select),
        )
