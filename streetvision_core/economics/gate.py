"""The chain gate: what a miner should know before it spends anything or waits for queries."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

from streetvision_core.economics.chain_facts import FACTS, ChainFact, expected_reward, with_value
from streetvision_core.errors import ChainError
from streetvision_core.serving.protocols.sn72.snapshot import Snapshot

MAINNET: Final = ("finney", 72)
ONE_UID: Final = 0.99
"""Where one hotkey gets this share of all incentive, validators give everything to it."""
QUIET_TEMPOS: Final = 3
"""Validators that have set no weights for this many payments are not at work."""

Sign = Literal["good", "bad", "unknown"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One answer of the gate.

    Attributes:
        question: what was asked.
        sign: whether the answer speaks for mining.
        answer: a plain sentence with date and source.
    """

    question: str
    sign: Sign
    answer: str


@dataclass(frozen=True, slots=True)
class Gate:
    """What is known.

    Attributes:
        network: of the chain.
        netuid: of the subnet.
        findings: the questions and their answers.
        pays: whether a miner there can earn something; None if that cannot be known.
    """

    network: str
    netuid: int
    findings: tuple[Finding, ...]
    pays: bool | None

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form."""
        return asdict(self)

    def check(self, although_unpaid: bool) -> None:
        """Stops a miner on the main network that earns nothing, unless that is wanted.

        Raises:
            ChainError: it would.
        """
        if self.network == "finney" and self.pays is False and not although_unpaid:
            why = "; ".join(f.answer for f in self.findings if f.sign == "bad")
            raise ChainError(
                got=f"{self.network}/{self.netuid}, which pays a miner nothing: {why}",
                allowed="the test network, local replay, or a subnet that pays",
                action="leave --network out, or add --although-unpaid",
            )


def examine(
    network: str, netuid: int, hotkey: str | None, snapshot: Snapshot | None, last_asked: datetime | None
) -> Gate:
    """Answers the gate's questions.

    Args:
        network: `test`, `finney` or `local`.
        netuid: the subnet.
        hotkey: ours, if there is one.
        snapshot: the newest metagraph; one of another subnet counts as none.
        last_asked: when our axon last answered a query, if ever.
    """
    if snapshot is not None and (snapshot.network, snapshot.netuid) != (network, netuid):
        snapshot = None
    known = FACTS if (network, netuid) == MAINNET else ()
    alive, burnt = _alive(snapshot, known), _burnt(snapshot, known)
    findings = (alive, burnt, _registered(hotkey, snapshot), _asked(last_asked))
    return Gate(network, netuid, findings, _pays(network, netuid, snapshot, (alive, burnt)))


def _pays(network: str, netuid: int, snapshot: Snapshot | None, findings: tuple[Finding, ...]) -> bool | None:
    if network != "finney" or any(finding.sign == "bad" for finding in findings):
        return False
    if (network, netuid) != MAINNET:
        return None
    reward = expected_reward(facts=_facts(snapshot)).alpha_per_day
    return None if reward is None else reward > 0


def _facts(snapshot: Snapshot | None) -> tuple[ChainFact, ...]:
    """The facts about subnet 72, renewed by what a snapshot of it shows."""
    share = None if snapshot is None else _owner_share(snapshot)
    if snapshot is None or share is None:
        return FACTS
    day, source = snapshot.taken_at.date(), f"metagraph at block {snapshot.block}"
    facts = with_value("burn", round(share, 4), "measured", day, source)
    if _top_share(snapshot) < ONE_UID:
        # the halted code gives all weight to one hotkey, so validators run another
        facts = with_value("halted", 0.0, "estimated", day, source, facts)
    return facts


def _alive(snapshot: Snapshot | None, known: tuple[ChainFact, ...]) -> Finding:
    question = "Is the subnet alive?"
    if snapshot is not None and snapshot.block:
        since = snapshot.block - QUIET_TEMPOS * snapshot.tempo
        validators = [neuron for neuron in snapshot.neurons if neuron.validator_permit]
        busy = sum(neuron.last_update >= since for neuron in validators)
        said = f"{busy} of {len(validators)} validators have set weights in the last {QUIET_TEMPOS} tempos"
        if busy == 0 or _top_share(snapshot) >= ONE_UID:
            one = ", all for one hotkey" if busy else ""
            return Finding(question, "bad", f"{said}{one} ({_when(snapshot)}).")
        return Finding(question, "good", f"{said} ({_when(snapshot)}).")
    return _from_fact(question, "halted", known)


def _burnt(snapshot: Snapshot | None, known: tuple[ChainFact, ...]) -> Finding:
    question = "Is the miners' emission burnt?"
    share = None if snapshot is None else _owner_share(snapshot)
    if snapshot is not None and share is not None:
        answer = f"The owner's hotkey, which burns, gets {share:.1%} of the incentive ({_when(snapshot)})."
        return Finding(question, "bad" if share >= ONE_UID else "good", answer)
    return _from_fact(question, "burn", known)


def _from_fact(question: str, name: str, known: tuple[ChainFact, ...]) -> Finding:
    for fact in known:
        if fact.name == name:
            answer = f"{fact.statement} ({fact.status}, {fact.as_of.isoformat()}, {fact.source})"
            return Finding(question, "bad" if fact.value else "unknown", answer)
    return Finding(question, "unknown", "Not known without a snapshot; run: streetvision metagraph refresh")


def _registered(hotkey: str | None, snapshot: Snapshot | None) -> Finding:
    question = "Is our hotkey registered, and where does it serve?"
    if hotkey is None or snapshot is None:
        missing = "hotkey" if hotkey is None else "snapshot"
        return Finding(question, "unknown", f"Not known without a {missing}.")
    neuron = snapshot.find(hotkey)
    if neuron is None:
        return Finding(question, "bad", f"{hotkey} is not registered ({_when(snapshot)}).")
    where = neuron.endpoint or "nowhere yet; publish it with: streetvision metagraph publish"
    return Finding(question, "good" if neuron.endpoint else "bad", f"uid {neuron.uid}, serving at {where}.")


def _asked(last_asked: datetime | None) -> Finding:
    question = "When was our axon last asked?"
    if last_asked is None:
        return Finding(question, "unknown", "Never, as far as the query log knows.")
    hours = (datetime.now(UTC) - last_asked).total_seconds() / 3600
    answer = f"{last_asked.astimezone(UTC):%Y-%m-%d %H:%M} UTC, {hours:.1f} h ago."
    return Finding(question, "good" if hours < 24 else "bad", answer)


def _owner_share(snapshot: Snapshot) -> float | None:
    owner = snapshot.find(snapshot.owner_hotkey) if snapshot.owner_hotkey else None
    total = sum(neuron.incentive for neuron in snapshot.neurons)
    if total <= 0 or not snapshot.owner_hotkey:
        return None
    return 0.0 if owner is None else owner.incentive / total


def _top_share(snapshot: Snapshot) -> float:
    total = sum(neuron.incentive for neuron in snapshot.neurons)
    return max((neuron.incentive / total for neuron in snapshot.neurons), default=0.0) if total > 0 else 0.0


def _when(snapshot: Snapshot) -> str:
    return f"{snapshot.network}/{snapshot.netuid} at block {snapshot.block}, {snapshot.taken_at:%Y-%m-%d %H:%M} UTC"
