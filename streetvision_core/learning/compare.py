"""Champion against challenger on the same TEST rows, by the gate's rules; nothing is written."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from streetvision_core.cascade.decisions import Decisions
from streetvision_core.learning.dataset import Dataset, Mask
from streetvision_core.learning.versions import Version
from streetvision_core.registry import gate
from streetvision_core.registry.decision import GateDecision
from streetvision_core.settings import GateSettings
from streetvision_core.types import Split


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """Both versions on the same TEST rows.

    Attributes:
        champion: the version that serves.
        challenger: the version that wants to.
        test: the labelled TEST rows.
        champion_answers: of the champion, row by row.
        challenger_answers: of the challenger.
        decision: the gate's.
    """

    champion: Version
    challenger: Version
    test: Dataset
    champion_answers: Decisions
    challenger_answers: Decisions
    decision: GateDecision

    def rows_of(self, rendered: bool) -> Mask:
        """Mask [N] of the rendered rows, or of the photographs."""
        return np.array([(row.world == "rendered") == rendered for row in self.test.rows], bool)


def compare(
    champion: Version,
    challenger: Version,
    first: Version | None,
    dataset: Dataset,
    rules: GateSettings,
    policy: str,
) -> Comparison:
    """Lets both versions answer the labelled TEST rows and asks the gate.

    Args:
        champion: the version that serves.
        challenger: the version that wants to.
        first: the first version that served with today's backbone and preprocessing, the second guard: many small
            promotions must not wear photographs away. None where there is none.
        dataset: with splits; its TEST rows decide. Rows of the user's own stream are an origin of their own.
        rules: the gate's, fixed before anybody looked.
        policy: the exit policy under which both answer.
    """
    test = dataset.in_split(Split.TEST).labelled()
    answers = [version.answer(test, policy) for version in (champion, challenger)]
    photographs = [row.world == "real" for row in test.rows]
    decision = gate.decide(
        answers[0].p,
        answers[1].p,
        test.table.labels,
        test.table.groups,
        test.table.origins,
        rules,
        champion=champion.name,
        challenger=challenger.name,
        first=gate.FirstAnswers(first.name, first.answer(test, policy).p, photographs) if first else None,
    )
    return Comparison(champion, challenger, test, answers[0], answers[1], decision)


def learned_from(dataset: Dataset) -> str:
    """What a head learns from in a dataset, as a sentence."""
    train = dataset.in_split(Split.TRAIN)
    kinds = Counter(f"of {row.source}" if row.source else "without a source" for row in train.rows)
    return f"{len(train)} TRAIN rows: " + ", ".join(f"{n} {kind}" for kind, n in kinds.most_common())
