"""A large model labels frames for the small one: over an OpenAI-compatible API, within a budget it cannot pass.

Answers are kept one file each, so that a run that was stopped pays for nothing twice. A pseudo-label is never more than
that: its rows say so in their origin, train only, and together weigh `1 - training.real_share` of the whole.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import httpx
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_exponential

from streetvision_core.errors import ModelError
from streetvision_core.images.decode import encode_jpeg
from streetvision_core.mining.spending import Budget
from streetvision_core.storage import atomic_write_json, atomic_write_text
from streetvision_core.types import Frame

QUESTION: Final = (
    "You see one dashcam frame. Is there road work: cones, barrels, barriers, work-zone signs, workers or machines at "
    'work on or beside the road? Answer with one JSON object: {"roadwork": true or false, "confidence": 0.5 to 1, '
    '"description": one sentence on the scene, "objects": list of road-work objects seen}.'
)
DESCRIBE: Final = "Summarize what the image shows."
"""Doe-1's own prompt for its `desc` task (wzzheng/Doe, dataset/prompt.json)."""
ASK: Final = "Is there road work in this image?"
_MOST_OUTPUT_TOKENS: Final = 300


@dataclass(frozen=True, slots=True)
class Prices:
    """What the provider charges, in US dollars per million tokens, and the most tokens an image can become."""

    input_usd: float
    output_usd: float
    most_input_tokens: int = 8000

    def cost(self, input_tokens: int, output_tokens: int) -> float:
        """Of one call."""
        return (input_tokens * self.input_usd + output_tokens * self.output_usd) / 1e6

    @property
    def most(self) -> float:
        """The dearest a call can be."""
        return self.cost(self.most_input_tokens, _MOST_OUTPUT_TOKENS)


@dataclass(frozen=True, slots=True)
class PseudoLabel:
    """What the teacher said about one frame.

    Attributes:
        id: the frame's name.
        sha256: of the frame.
        p_roadwork: its confidence, as P(road work).
        description: one sentence.
        objects: what it says it saw.
        teacher: the model's name.
    """

    id: str
    sha256: str
    p_roadwork: float
    description: str
    objects: tuple[str, ...]
    teacher: str

    @property
    def label(self) -> int:
        """1 road work, 0 none."""
        return int(self.p_roadwork > 0.5)


class Teacher:
    """Asks one model.

    Args:
        url: the API's base, e.g. `http://localhost:8000/v1`.
        model: the model's name there.
        budget: the cap.
        prices: what a call costs; a server of your own costs 0.
        folder: where answers are kept.
        api_key: sent as bearer token; empty sends none.
        timeout_seconds: of one call.
    """

    def __init__(
        self,
        url: str,
        model: str,
        budget: Budget,
        prices: Prices,
        folder: Path,
        api_key: str = "",
        timeout_seconds: float = 60.0,
    ) -> None:
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self.model, self.budget, self.prices, self.folder = model, budget, prices, folder
        self._client = httpx.Client(base_url=url.rstrip("/") + "/", headers=headers, timeout=timeout_seconds)

    def label(
        self, frames: Sequence[tuple[str, Frame]], progress: Callable[[int, int], None] | None = None
    ) -> list[PseudoLabel]:
        """Labels named frames; those answered before are not asked again.

        Raises:
            BudgetError: the next call could pass the cap; all answers so far are kept in the folder.
            ModelError: the server refuses, or does not answer as asked.
        """
        labels = []
        for done, (name, frame) in enumerate(frames):
            path = self.folder / f"{frame.sha256[:32]}.json"
            if not path.exists():
                atomic_write_json(path, asdict(self._ask(name, frame)))
            stored = json.loads(path.read_text())
            labels.append(PseudoLabel(**{**stored, "id": name, "objects": tuple(stored["objects"])}))
            if progress is not None:
                progress(done + 1, len(frames))
        return labels

    def _ask(self, name: str, frame: Frame) -> PseudoLabel:
        image = base64.b64encode(encode_jpeg(frame.pixels)).decode()
        content = [
            {"type": "text", "text": QUESTION},
            {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{image}"}},
        ]
        body = {
            "model": self.model,
            "messages": [{"role": "user", "content": content}],
            "max_tokens": _MOST_OUTPUT_TOKENS,
            "temperature": 0,
            "response_format": {"type": "json_object"},
        }
        answer = self._post(body)
        return self._read(name, frame, answer)

    @retry(
        retry=retry_if_exception_type(httpx.TransportError),
        stop=stop_after_attempt(3),
        wait=wait_exponential(multiplier=0.2, max=5),
        reraise=True,
    )
    def _post(self, body: dict[str, Any]) -> dict[str, Any]:
        """One call; each attempt is set aside anew, because a lost answer may have been charged."""
        with self.budget.spend(self.prices.most) as receipt:
            response = self._client.post("chat/completions", json=body)
            if response.status_code != 200:
                raise _refused(f"HTTP {response.status_code}: {response.text[:200]}")
            answer: dict[str, Any] = response.json()
            usage = answer.get("usage") or {}
            if "prompt_tokens" in usage:
                receipt.usd = self.prices.cost(usage["prompt_tokens"], usage.get("completion_tokens", 0))
        return answer

    def _read(self, name: str, frame: Frame, answer: dict[str, Any]) -> PseudoLabel:
        try:
            said = json.loads(answer["choices"][0]["message"]["content"])
            sure = min(max(float(said.get("confidence", 0.9)), 0.5), 1.0)
            p = sure if _truth(said["roadwork"]) else 1.0 - sure
            objects = tuple(str(one) for one in said.get("objects", ()))
            description = str(said.get("description", ""))
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise _refused(f"an answer that is not as asked ({type(error).__name__}: {error})") from error
        return PseudoLabel(name, frame.sha256, p, description, objects, self.model)


def write_plain(labels: Sequence[PseudoLabel], path: Path) -> None:
    """One JSON object per line."""
    atomic_write_text(path, "".join(json.dumps(asdict(label) | {"label": label.label}) + "\n" for label in labels))


def write_doe1(labels: Sequence[PseudoLabel], images: Sequence[str], path: Path) -> None:
    """The conversation format of Doe-1: a list of conversations, each a list of frames, each a list of questions.

    Args:
        labels: one per frame; each frame is a conversation of its own, because single frames have no future.
        images: the image file of each, relative to the file written.
        path: the JSON file.
    """
    atomic_write_json(path, [[_doe1_frame(label, image)] for label, image in zip(labels, images, strict=True)])


def _doe1_frame(label: PseudoLabel, image: str) -> list[dict[str, Any]]:
    answers = (
        ("desc", DESCRIBE, label.description),
        ("qa", ASK, f"{'Yes' if label.label else 'No'}. {', '.join(label.objects)}".rstrip(". ") + "."),
    )
    return [
        {"q": q, "a": a, "image": [image], "plan": [], "coords": [[], []], "task": task, "id": label.id}
        for task, q, a in answers
    ]


def _truth(value: object) -> bool:
    if isinstance(value, bool):
        return value
    if str(value).strip().lower() in ("yes", "true", "no", "false"):
        return str(value).strip().lower() in ("yes", "true")
    raise ValueError(f"roadwork = {value!r}")


def _refused(got: str) -> ModelError:
    return ModelError(
        got=got,
        allowed="an OpenAI-compatible server whose model sees images and answers in JSON",
        action="check the address, the model's name and the key; answers so far are kept",
    )
