"""Carries a comparison out: promotes, refuses, or lets what passed wait for a person."""

from __future__ import annotations

from typing import Literal

from streetvision_core.learning.compare import Comparison
from streetvision_core.registry.versions import Event, Registry

Mode = Literal["auto", "ask"]


def promote(registry: Registry, comparison: Comparison, mode: Mode = "auto") -> Event:
    """Records the gate's decision in the history; harmless when repeated.

    Args:
        registry: both versions are in it.
        comparison: whose decision.
        mode: `auto` lets what passed serve, `ask` lets it wait for `streetvision versions approve`.

    Returns:
        What was recorded: `promote`, `refuse`, or `pass` where it waits.

    Raises:
        RegistryError: another version has become champion since the comparison.
    """
    return registry.settle(comparison.challenger.name, comparison.decision, mode)
