"""The registry: immutable version folders, and one history that says which of them serves.

Example:
    >>> import tempfile
    >>> from pathlib import Path
    >>> registry = Registry(Path(tempfile.mkdtemp()))
    >>> version = registry.create({"head.json": b"{}"}, {"made_by": "an example"})
    >>> registry.install_first(version, by="loop").action
    'first'
    >>> registry.alias("champion").name == version.name
    True
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final, Literal

from streetvision_core.errors import ManifestError, RegistryError
from streetvision_core.registry import events
from streetvision_core.registry._store import CARD_FILE, HISTORY_FILE, ModelVersion, VersionStore
from streetvision_core.registry.decision import GateDecision, Override
from streetvision_core.registry.events import CHANGES, Action, Event, Served
from streetvision_core.settings import Settings

__all__ = ["CARD_FILE", "HISTORY_FILE", "Alias", "Mode", "ModelVersion", "Registry", "open_registry"]

Alias = Literal["champion", "challenger"]
Mode = Literal["auto", "ask"]
"""What becomes of a challenger that passed: `auto` promotes it, `ask` lets it wait for a person."""
ASKS: Final = "Passed, and waits for `streetvision versions approve` (gate.promotion is ask)."


class Registry(VersionStore):
    """Versions under one folder, and who may put which of them into service."""

    def alias(self, name: Alias) -> ModelVersion:
        """The checked version an alias stands for.

        Raises:
            RegistryError: the alias stands for none.
        """
        return self.get(name)

    def champion(self) -> ModelVersion | None:
        """The version the gate compares with, checked; None before the first."""
        return self.get("champion") if self.promotions.champion() else None

    def challenger(self) -> ModelVersion | None:
        """The version under test, checked; None if there is none."""
        return self.get("challenger") if self.promotions.challenger() else None

    def serving(self) -> ModelVersion | None:
        """The version that ought to serve, unchecked: the pinned one, else the champion; None before the first."""
        name = self.promotions.serving()
        return self.get(name, check=False) if name else None

    def served_at(self, time: datetime) -> Served | None:
        """Which version served at an aware time, and why."""
        return self.promotions.served_at(time)

    def hold_event(self) -> Event | None:
        """What keeps automatic promotion away: a hold or a rollback; None if nothing does."""
        return events.hold_of(self.history())

    def waiting(self) -> tuple[Event, ...]:
        """What passed the gate against today's champion and waits for a person, oldest first."""
        return events.waiting_of(self.history())

    def first_with(self, backbone: str, preprocessing: str) -> ModelVersion | None:
        """The first version that served with this backbone and preprocessing and is still whole; None if none did."""
        return next(self.served_with(backbone, preprocessing), None)

    def served_with(self, backbone: str, preprocessing: str) -> Iterator[ModelVersion]:
        """The versions that served with this backbone and preprocessing and are still whole, the first one first."""
        for name in dict.fromkeys(e.version for e in self.history() if e.action in CHANGES):
            try:
                version = self.get(name)
            except (ManifestError, RegistryError):
                continue
            if version.made_with == (backbone, preprocessing):
                yield version

    def install_first(self, version: ModelVersion | str, by: str) -> Event:
        """Makes a version champion where there is none to compare it with.

        Raises:
            RegistryError: there is a champion already.
        """
        with self._locked():
            champion = self.promotions.champion()
            if champion is not None:
                raise RegistryError(f"{champion} serving already", "an empty history", "let the gate decide")
            return self._append("first", version, by, "the first version: there is nothing to compare it with")

    def challenge(self, version: ModelVersion | str, by: str = "loop", reason: str = "put up for the gate") -> Event:
        """Names the challenger."""
        with self._locked():
            return self._append("challenge", version, by, reason)

    def refuse(self, version: ModelVersion | str, decision: GateDecision) -> Event:
        """Keeps the champion and records why the challenger was refused."""
        with self._locked():
            return self._append("refuse", version, "gate", " ".join(decision.reasons), decision.to_dict())

    def settle(self, version: ModelVersion | str, decision: GateDecision, mode: Mode = "auto") -> Event:
        """Carries a decision of the gate out: promotes, refuses, or records that the version passed and waits.

        It waits under a hold, and with `ask`. Repeating it with the same decision changes nothing.

        Raises:
            RegistryError: a promoting decision is about other versions, or the version serves already.
        """
        with self._locked():
            name, history = self.get(_name(version)).name, self.history()
            action, why = self._outcome(decision, mode, events.hold_of(history))
            last = next((e for e in reversed(history) if e.action not in ("hold", "unhold", "import")), None)
            if last is not None and (last.action, last.version, last.decision) == (action, name, decision.to_dict()):
                return last
            if decision.promote:
                self._check_promotable(name, decision)
            if events.challenger_of(history) != name:
                self._append("challenge", name, "loop", "put up for the gate")
            return self._append(action, name, "gate", why, decision.to_dict())

    def promote(self, version: ModelVersion | str, decision: GateDecision | Override) -> Event:
        """Makes a version champion. A kill at any point leaves the old champion or the new one.

        Raises:
            RegistryError: the decision does not promote, or is about other versions; the version serves already;
                promotions are on hold and no person decides.
            ManifestError: a file of the version differs from its manifest.
        """
        with self._locked():
            name = self.get(_name(version)).name
            if isinstance(decision, Override):
                self._check_other(name)
                return self._append("override", name, decision.by, decision.reason)
            self._check_promotable(name, decision)
            hold = self.hold_event()
            if hold is not None:
                raise RegistryError(
                    got=f"a promotion of {name}, while promotions are on hold ({_held(hold)})",
                    allowed="promotions by the gate where nothing holds them",
                    action="run `streetvision versions approve`, or end the hold: streetvision versions unhold",
                )
            return self._append("promote", name, "gate", " ".join(decision.reasons), decision.to_dict())

    def approve(self, version: ModelVersion | str | None, by: str) -> Event:
        """Puts a version that passed the gate and waits into service; a hold stays.

        Args:
            version: which; None takes the newest that waits.
            by: who decides.

        Raises:
            RegistryError: it does not wait, or passed against another champion.
        """
        _check_person(by)
        with self._locked():
            waiting = {event.version: event for event in self.waiting()}
            name = next(reversed(waiting), None) if version is None else self.get(_name(version)).name
            if name is None or name not in waiting:
                raise RegistryError(
                    got=f"an approval of {name}" if name else "an approval, while nothing waits",
                    allowed=", ".join(waiting) or "a version that passed the gate against the champion of today",
                    action='name the version and give a reason: streetvision versions approve VERSION --override "…"',
                )
            passed = waiting[name]
            decision = GateDecision.from_dict(passed.decision or {})
            self._check_promotable(name, decision)
            reason = f"approved; it passed the gate at {passed.time:%Y-%m-%d %H:%M} UTC"
            return self._append("approve", name, by, reason, decision.to_dict())

    def rollback(self, by: str, reason: str, to: str | None = None) -> Event:
        """Makes an earlier champion serve again, and keeps automatic promotion away until `unhold`.

        Args:
            by: who decides.
            reason: why.
            to: a version that has served; None takes the one before the present one.

        Raises:
            RegistryError: there is none, or `to` never served.
        """
        override = Override(by, reason)
        with self._locked():
            champion = self.promotions.champion()
            target = self.promotions.before() if to is None else self.get(to, check=False).name
            served = {e.version for e in self.history() if e.action in CHANGES}
            if target is None or target not in served - {champion}:
                raise RegistryError(
                    got=f"a rollback from {champion} to {target or 'nothing'}",
                    allowed=", ".join(sorted(served - {champion})) or "nothing: only one version has ever served",
                    action="name a version that has served before, or promote one through the gate",
                )
            return self._append("rollback", target, override.by, override.reason)

    def hold(self, by: str, reason: str) -> Event:
        """Keeps automatic promotion away; the gate goes on deciding, and what passes waits.

        Raises:
            RegistryError: nothing serves, or promotions are on hold already.
        """
        override = Override(by, reason)
        with self._locked():
            held = self.hold_event()
            if held is not None:
                raise _state(f"promotions on hold already ({_held(held)})", "streetvision versions unhold")
            return self._append("hold", self._champion_name(), override.by, override.reason)

    def unhold(self, by: str, reason: str = "the hold is over") -> Event:
        """Lets the gate promote again.

        Raises:
            RegistryError: there is no hold.
        """
        _check_person(by)
        with self._locked():
            if self.hold_event() is None:
                raise _state("no hold to end", "streetvision versions list")
            return self._append("unhold", self._champion_name(), by, reason)

    def pin(self, version: ModelVersion | str, by: str, reason: str) -> Event:
        """Lets a version serve in the champion's place until `unpin`; the champion and the gate go on as they are.

        Raises:
            RegistryError: the version has neither served nor passed the gate.
        """
        override = Override(by, reason)
        with self._locked():
            name = self.get(_name(version)).name
            known = {e.version for e in self.history() if e.action in CHANGES or e.action == "pass"}
            if name not in known:
                raise RegistryError(
                    got=f"a pin of {name}, which has neither served nor passed the gate",
                    allowed=", ".join(sorted(known)) or "nothing yet: no version has served",
                    action=f'put it into service first: streetvision versions approve {name} --override "…"',
                )
            return self._append("pin", name, override.by, override.reason)

    def unpin(self, by: str, reason: str = "the pin is over") -> Event:
        """Lets the champion serve again.

        Raises:
            RegistryError: nothing is pinned.
        """
        _check_person(by)
        with self._locked():
            if events.pinned_of(self.history()) is None:
                raise _state("no pin to end", "streetvision versions list")
            return self._append("unpin", self._champion_name(), by, reason)

    def note_import(self, version: ModelVersion | str, by: str, source: str) -> Event:
        """Records that a version came from elsewhere; it serves nothing."""
        with self._locked():
            return self._append("import", version, by, f"imported from {source}")

    def _outcome(self, decision: GateDecision, mode: Mode, hold: Event | None) -> tuple[Action, str]:
        reasons = " ".join(decision.reasons)
        if not decision.promote:
            return "refuse", reasons
        if hold is not None:
            return "pass", f"Passed, held ({_held(hold)}). {reasons}"
        return ("promote", reasons) if mode == "auto" else ("pass", f"{ASKS} {reasons}")

    def _check_promotable(self, name: str, decision: GateDecision) -> None:
        self._check_other(name)
        decision.check(self.promotions.champion() or "", name)

    def _check_other(self, name: str) -> None:
        if name == self.promotions.champion():
            raise RegistryError(f"{name}, which serves already", "another version", "nothing needs to be done")

    def _champion_name(self) -> str:
        champion = self.promotions.champion()
        if champion is None:
            raise _state("no version in service", "streetvision serve")
        return champion

    def _append(
        self,
        action: Action,
        version: ModelVersion | str,
        by: str,
        reason: str,
        decision: Mapping[str, Any] | None = None,
    ) -> Event:
        # a version that no longer serves may be damaged and still be named
        found = self.get(_name(version), check=action not in ("refuse", "hold", "unhold", "unpin"))
        event = self.promotions.append(
            action, found.name, by=by, reason=reason, now=self._clock(), decision=decision, sha256=found.digest
        )
        self._reflect()
        return event


def open_registry(settings: Settings) -> Registry:
    """The workspace's registry, mirrored into MLflow (SQLite file and local artifacts under `data/mlflow`)."""
    from streetvision_core.registry.mirror import MlflowMirror

    data = settings.paths.resolve("data")
    return Registry(data / "models", mirror=MlflowMirror(data / "mlflow"))


def _name(version: ModelVersion | str) -> str:
    return version if isinstance(version, str) else version.name


def _held(event: Event) -> str:
    return f"{event.action} by {event.by}, {event.time:%Y-%m-%d %H:%M} UTC: {event.reason}"


def _check_person(by: str) -> None:
    if not by.strip():
        raise RegistryError("no name", "the name of the person who decides", "add --by NAME")


def _state(got: str, action: str) -> RegistryError:
    return RegistryError(got=got, allowed="a registry in the state this changes", action=f"look first: {action}")
