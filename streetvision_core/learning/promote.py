"""Carries a comparison out: promotes, refuses, or lets what passed wait for a person."""

from __future__ import annotations

from streetvision_core.learning.compare import Comparison
from streetvision_core.learning.versions import serving_version
from streetvision_core.registry.events import CHANGES, Event
from streetvision_core.registry.versions import Mode, ModelVersion, Registry


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
    name = comparison.challenger.name
    if registry.promotions.champion() == name:  # carried out before a kill
        return next(event for event in reversed(registry.history()) if event.version == name)
    return registry.settle(name, comparison.decision, mode)


def opponent(registry: Registry, challenger: str) -> ModelVersion:
    """The version a challenger is compared with: the champion; if it serves itself already, the one before it.

    Raises:
        RegistryError: no version serves yet.
    """
    champion = registry.champion()
    if champion is not None and champion.name == challenger:
        events = (event for event in reversed(registry.history()) if event.version == challenger)
        before = next((event.previous for event in events if event.action in CHANGES and event.previous), None)
        return registry.get(before) if before else champion
    return champion if champion is not None else serving_version(registry)


def why_it_waits(registry: Registry, challenger: str) -> str:
    """Why a challenger that passed does not serve: a hold, or a person is asked; empty where neither is so."""
    return next((event.reason for event in registry.waiting() if event.version == challenger), "")
