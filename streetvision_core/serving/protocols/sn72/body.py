"""The JSON body of a query: one base64 image, and the hash that was signed for it."""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from typing import Any

from streetvision_core.errors import RequestError
from streetvision_core.serving.backend import Image
from streetvision_core.serving.protocols._json import load_json
from streetvision_core.serving.protocols.sn72.headers import EMPTY_HASH
from streetvision_core.serving.protocols.sn72.refusals import refused
from streetvision_core.settings import Sn72Settings


@dataclass(frozen=True, slots=True, eq=False)
class Query:
    """What a body held.

    Attributes:
        image: the encoded image.
        testnet_label: goes back as it came; no validator sets it.
    """

    image: Image
    testnet_label: int


def parse_body(body: bytes, signed_hash: str, settings: Sn72Settings) -> Query:
    """Takes a body apart.

    Raises:
        QueryRefusedError: not the JSON of an ImageSynapse, or not the body that was signed.
    """
    try:
        fields = load_json(body)
    except RequestError as error:
        raise refused("body", error.got[:80], "the JSON of an ImageSynapse") from error
    text = fields.get("image") if isinstance(fields, dict) else None
    if not isinstance(text, str):
        raise refused("body", "JSON without a text 'image'", "the JSON of an ImageSynapse")
    _check_hash(fields, signed_hash, settings)
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise refused("body", f"an image that is no base64 ({error})", "standard base64") from error
    label = fields.get("testnet_label")
    echo = label if isinstance(label, int) and abs(label) < 2**31 else -1
    return Query(Image(data, "image", hashlib.sha256(data).hexdigest()), echo)


def body_hash(fields: dict[str, Any], names: tuple[str, ...]) -> str:
    """What `Synapse.body_hash` makes of a body whose class has `required_hash_fields = names`."""
    hashes = [_sha3(str(fields.get(name))) for name in names]
    return _sha3("".join(hashes))


def _check_hash(fields: dict[str, Any], signed_hash: str, settings: Sn72Settings) -> None:
    if signed_hash == EMPTY_HASH and not settings.body_hash_required:
        return  # the public class signs no field: who carries the query could exchange the image
    if signed_hash != body_hash(fields, settings.body_hash_fields):
        raise refused("body-hash", "a body that was not signed", f"hashed over {', '.join(settings.body_hash_fields)}")


def _sha3(text: str) -> str:
    return hashlib.sha3_256(text.encode("utf-8", "surrogatepass")).hexdigest()
