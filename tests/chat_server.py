"""A small real server that speaks the OpenAI chat API as `vllm serve` does, around a checkpoint on disk.

Log-probabilities are the model's own; images arrive as data URLs. Faults can be switched on to see a client suffer.
"""

from __future__ import annotations

import base64
import io
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


class ChatServer:
    """The application, and what a test may look at or change."""

    def __init__(self, name: str, folder: Path) -> None:
        from PIL import Image
        from transformers import AutoModelForImageTextToText, AutoProcessor

        self.name = name
        self._open = Image.open
        self._model = AutoModelForImageTextToText.from_pretrained(folder).eval()
        self._processor = AutoProcessor.from_pretrained(folder)
        self._lock = threading.Lock()
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.fault: Response | None = None
        self.delay_seconds = 0.0
        self.app = Starlette(routes=[Route("/v1/chat/completions", self.complete, methods=["POST"])])

    def reset(self) -> None:
        """Healthy again, and nothing remembered."""
        self.requests.clear()
        self.headers.clear()
        self.fault, self.delay_seconds = None, 0.0

    async def complete(self, request: Request) -> Response:
        body = json.loads(await request.body())
        self.requests.append(body)
        self.headers.append(dict(request.headers))
        time.sleep(self.delay_seconds)
        if self.fault is not None:
            return self.fault
        if body["model"] != self.name:
            return JSONResponse({"error": {"message": f"The model `{body['model']}` does not exist."}}, 404)
        with self._lock:
            return JSONResponse(self._answer(body))

    def _answer(self, body: dict[str, Any]) -> dict[str, Any]:
        import torch

        turns = [{**m, "content": [self._part(part) for part in m["content"]]} for m in body["messages"]]
        inputs = self._processor.apply_chat_template(
            turns, tokenize=True, add_generation_prompt=True, return_dict=True, return_tensors="pt",
            **body.get("chat_template_kwargs", {}),
        )  # fmt: skip
        with torch.inference_mode():
            made = self._model.generate(
                **inputs, max_new_tokens=body["max_tokens"], do_sample=False, output_logits=True,
                return_dict_in_generate=True,
            )  # fmt: skip
        ids = made.sequences[0, inputs["input_ids"].shape[1] :].tolist()
        words = self._processor.tokenizer
        choice: dict[str, Any] = {
            "index": 0,
            "message": {"role": "assistant", "content": words.decode(ids, skip_special_tokens=True)},
            "finish_reason": "length",
            "logprobs": None,
        }
        if body.get("logprobs"):
            places = [logits[0].log_softmax(-1) for logits in made.logits]
            choice["logprobs"] = {
                "content": [self._place(p, i, body["top_logprobs"]) for p, i in zip(places, ids, strict=True)]
            }
        return {"id": "chatcmpl-1", "object": "chat.completion", "model": self.name, "choices": [choice]}

    def _part(self, part: dict[str, Any]) -> dict[str, Any]:
        if part["type"] != "image_url":
            return part
        data = base64.b64decode(part["image_url"]["url"].partition("base64,")[2])
        return {"type": "image", "image": self._open(io.BytesIO(data)).convert("RGB")}

    def _place(self, logprobs: Any, token: int, top: int) -> dict[str, Any]:
        words = self._processor.tokenizer
        best = logprobs.topk(top).indices.tolist()
        said = [{"token": words.decode([i]), "logprob": float(logprobs[i])} for i in (token, *best)]
        return {**said[0], "top_logprobs": said[1:]}


@contextmanager
def running(app: Starlette) -> Iterator[str]:
    """Serves on a free port of this machine; gives the URL of the API."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.should_exit = True
        thread.join(10)
