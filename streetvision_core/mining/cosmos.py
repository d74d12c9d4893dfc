"""Cosmos, or any image generator behind an HTTP API, within a budget in dollars that it cannot pass.

The request is that of OpenAI's images API (`POST images/generations` with `prompt`, `n`, `response_format`), which most
hosted generators and NVIDIA's containers offer through a gateway. Nothing public states a price per image, so the price
is the caller's to state, and a price of nothing is refused unless the server is one's own.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import httpx

from streetvision_core.errors import ModelError
from streetvision_core.images.decode import decode_image
from streetvision_core.mining.spending import Budget
from streetvision_core.models.generator import Request
from streetvision_core.types import Pixels


class HostedGenerator:
    """Draws text-to-image requests on a server.

    Args:
        url: the API's base.
        model: the model's name there, e.g. `nvidia/cosmos-predict2-2b-text2image`.
        budget: the cap.
        usd_per_image: what one image costs at most.
        api_key: sent as bearer token.
        timeout_seconds: of one image.
    """

    def __init__(
        self,
        url: str,
        model: str,
        budget: Budget,
        usd_per_image: float,
        api_key: str = "",
        timeout_seconds: float = 120.0,
    ) -> None:
        if usd_per_image < 0 or (usd_per_image == 0 and api_key):
            raise ModelError(
                got=f"{usd_per_image} USD per image for a server that wants a key",
                allowed="the price that the provider charges",
                action="state it, so that the budget can hold",
            )
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self.model, self.budget, self.usd_per_image = model, budget, usd_per_image
        self._client = httpx.Client(base_url=url.rstrip("/") + "/", headers=headers, timeout=timeout_seconds)

    def draw(self, requests: Sequence[Request]) -> list[Pixels]:
        """Draws each request.

        Raises:
            BudgetError: the next image could pass the cap; it is not asked for.
            ModelError: a request starts from a photo, or the server refuses.
        """
        return [self._draw(request) for request in requests]

    def provenance(self, request: Request) -> dict[str, Any]:
        """Everything that made an image."""
        return {
            "generator": self.model,
            "task": request.task,
            "prompt": request.full_prompt,
            "seed": request.seed,
            "usd": self.usd_per_image,
        }

    def _draw(self, request: Request) -> Pixels:
        if request.image is not None:
            raise ModelError(f"a {request.task} request", "text-to-image", "draw it with the SDXL generator")
        body = {
            "model": self.model,
            "prompt": request.full_prompt,
            "n": 1,
            "seed": request.seed,
            "response_format": "b64_json",
        }
        with self.budget.spend(self.usd_per_image):
            response = self._client.post("images/generations", json=body)
            try:
                response.raise_for_status()
                data = base64.b64decode(response.json()["data"][0]["b64_json"])
            except (httpx.HTTPStatusError, KeyError, IndexError, TypeError, ValueError) as error:
                raise ModelError(
                    got=f"HTTP {response.status_code}: {response.text[:200]}",
                    allowed="an image in data[0].b64_json",
                    action="check the address, the model's name and the key",
                ) from error
        return decode_image(data, self.model).pixels
