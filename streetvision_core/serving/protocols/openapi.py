"""The API's description, OpenAPI 3.1, with examples built from the types that really answer."""

from __future__ import annotations

from typing import Any, Final

from streetvision_core import __version__
from streetvision_core.errors import ImageBrokenError, OverloadedError
from streetvision_core.serving.backend import Answer, Image
from streetvision_core.serving.gateway import Outcome
from streetvision_core.serving.protocols._answers import STATUS, to_dict
from streetvision_core.serving.protocols._body import NAMED_TYPES
from streetvision_core.types import STAGES, Box, Evidence, Verdict

_ERRORS: Final = {
    400: "No image that can be read, or a request of another form.",
    401: "No valid API key, where one is needed.",
    403: "Sent by a web page of another site.",
    408: "The body arrived too slowly.",
    413: "Too many bytes, pixels, frames or images; refused before it is read.",
    415: "No picture of a kind we read, or a Content-Type we do not.",
    421: "Asked under a name that is not the server's.",
    429: "The queue is full, or the key's rate is spent; come again after Retry-After seconds.",
    500: "The model failed on this image.",
    501: "Videos need the extra `video`, which this server lacks.",
    503: "No model yet, or no answer before the deadline; come again after Retry-After seconds.",
}
assert set(_ERRORS) == set(STATUS.values())


def describe() -> dict[str, Any]:
    """The document served at `/openapi.json`."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "StreetVision",
            "version": __version__,
            "description": "Tells whether a street image shows road work. At or above 0.5 means yes; exactly 0.5 is "
            "never answered.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": {
            "/v1/predict": {"post": _predict()},
            "/v1/predict/video": {"post": _predict_video()},
            "/health/live": {"get": _plain("The process runs.", "health")},
            "/health/ready": {"get": _plain("A model has answered its warm-up frame; 503 until then.", "health")},
            "/metrics": {"get": _plain("Prometheus metrics.", "metrics")},
        },
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "header": {"type": "apiKey", "in": "header", "name": "x-api-key"},
            },
        },
    }


def example(cached: bool = False, evidence: bool = False) -> dict[str, Any]:
    """A verdict as it is answered."""
    seen = (
        Evidence("classifier", {"logit": 0.31}, seconds=0.06),
        Evidence("detectors", {"agree.count": 1.0}, {"yolo12n": (Box(212, 140.5, 241, 203, "cone", 0.83),)}, (), 0.11),
    )
    verdict = Verdict(0.912345, "detectors", True, seen, "v0003-1a2b3c4d", "certified", 0.171)
    image = Image(b"", "photo.jpg", "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")
    return to_dict(Outcome(image, Answer(verdict, 1280, 720, "native"), cached), evidence)


def _predict() -> dict[str, Any]:
    image = {"schema": {"type": "string", "contentMediaType": "image/*"}}
    files = {"type": "object", "properties": {"file": {"type": "array", "items": {"type": "string"}}}}
    return {
        "summary": "Does this image show road work?",
        "operationId": "predict",
        "security": [{}, {"bearer": []}, {"header": []}],
        "tags": ["predict"],
        "parameters": [
            _parameter("evidence", "query", "boolean", "Also answer what each stage saw.", True),
            _parameter("x-deadline-seconds", "header", "number", "Longest the caller waits, at most 9.", 2.5),
        ],
        "requestBody": {
            "required": True,
            "content": {
                **dict.fromkeys(NAMED_TYPES, image),
                "multipart/form-data": {"schema": files},
                "application/json": {
                    "schema": {"$ref": "#/components/schemas/Base64Images"},
                    "examples": {"one": {"value": {"image": "/9j/4AAQSk…"}}, "many": {"value": {"images": ["/9j/…"]}}},
                },
            },
        },
        "responses": {"200": _success(), **{str(status): _failure(status) for status in sorted(_ERRORS)}},
    }


def _predict_video() -> dict[str, Any]:
    video = {"schema": {"type": "string", "contentMediaType": "video/*"}}
    types = ("video/mp4", "video/quicktime", "video/webm", "video/x-matroska", "application/octet-stream")
    failures = {str(status): _failure(status) for status in sorted(_ERRORS)}
    answer = {"application/json": {"schema": {"$ref": "#/components/schemas/ClipVerdict"}}}
    return {
        "summary": "Where in this video is road work?",
        "operationId": "predictVideo",
        "tags": ["predict"],
        "security": [{}, {"bearer": []}, {"header": []}],
        "requestBody": {"required": True, "content": dict.fromkeys(types, video)},
        "responses": {"200": {"description": "The verdict over time.", "content": answer}, **failures},
    }


def _success() -> dict[str, Any]:
    either = {"oneOf": [{"$ref": "#/components/schemas/Verdict"}, {"$ref": "#/components/schemas/Results"}]}
    examples = {
        "one image": {"value": example()},
        "with evidence": {"value": example(evidence=True)},
        "multipart": {"value": {"results": [example(cached=True)]}},
    }
    return {
        "description": "The verdict; a list of them for multipart and `images`, where one image's error does not "
        "touch the others.",
        "content": {"application/json": {"schema": either, "examples": examples}},
    }


def _failure(status: int) -> dict[str, Any]:
    value = {
        429: OverloadedError("1 more images while 64 are waiting", "64 at a time", "send the request again after 3 s"),
    }.get(status, ImageBrokenError("zero bytes from body", "a complete picture", "send it again"))
    content: dict[str, Any] = {"schema": {"$ref": "#/components/schemas/Error"}}
    if status in (400, 429):
        content["examples"] = {"error": {"value": value.to_dict()}}
    answer: dict[str, Any] = {"description": _ERRORS[status], "content": {"application/json": content}}
    if status in (429, 503):
        answer["headers"] = {"Retry-After": {"schema": {"type": "integer"}, "description": "Whole seconds."}}
    return answer


def _plain(text: str, tag: str) -> dict[str, Any]:
    return {"summary": text, "tags": [tag], "responses": {"200": {"description": text}}}


def _parameter(name: str, place: str, kind: str, text: str, value: Any) -> dict[str, Any]:
    return {"name": name, "in": place, "description": text, "schema": {"type": kind}, "example": value}


def _schemas() -> dict[str, Any]:
    text, number, yes = {"type": "string"}, {"type": "number"}, {"type": "boolean"}
    whole = {"type": "integer", "minimum": 1}
    stage = {"type": "string", "enum": list(STAGES)}
    lines = {"type": "array", "items": text}
    verdict = {
        "name": text,
        "sha256": text,
        "width": whole,
        "height": whole,
        "cached": yes,
        "p_roadwork": {"type": "number", "minimum": 0, "maximum": 1},
        "roadwork": yes,
        "unsure": yes,
        "exit_stage": stage,
        "certified": yes,
        "model_version": text,
        "policy": text,
        "seconds": number,
        "notes": lines,
    }
    error = {"error": text, "got": text, "allowed": text, "do": text}
    box = {"box": {"type": "array", "items": number, "minItems": 4, "maxItems": 4}, "label": text, "score": number}
    boxes = {"type": "object", "additionalProperties": {"type": "array", "items": _object(box)}}
    scores = {"type": "object", "additionalProperties": number}
    evidence = _object({"stage": stage, "scores": scores, "boxes": boxes, "text": lines, "seconds": number})
    seen = {"type": "array", "items": evidence}
    one = {"$ref": "#/components/schemas/Verdict"}
    failed = _object({"name": text, "sha256": text, "status": whole, **error})
    return {
        "Verdict": _object(verdict, evidence=seen),
        "Results": _object({"results": {"type": "array", "items": {"oneOf": [one, failed]}}}),
        "Error": _object(error, request_id=text),
        "ClipVerdict": {
            "type": "object",
            "properties": {
                "source": text,
                "seconds": number,
                "mode": {"type": "string", "enum": ["direct", "keyframes", "search"]},
                "p_roadwork": {"type": "number", "minimum": 0, "maximum": 1},
                "roadwork": yes,
                "unsure": yes,
                "calibrated": yes,
                "segments": {"type": "array", "items": {"type": "object"}},
                "timeline": {"type": "array", "items": {"type": "object"}},
                "model_version": text,
                "policy": text,
                "notes": lines,
            },
            "required": ["source", "seconds", "mode", "p_roadwork", "roadwork", "segments", "timeline", "notes"],
        },
        "Base64Images": {
            "oneOf": [_object({"image": text}), _object({"images": {"type": "array", "items": text}})],
        },
    }


def _object(required: dict[str, Any], **optional: Any) -> dict[str, Any]:
    properties = {**required, **optional}
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}
