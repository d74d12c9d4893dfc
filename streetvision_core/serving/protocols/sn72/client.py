"""Asks like a validator: a signed query of one image, for replays and tests.

Example:
    >>> from streetvision_core.serving.protocols.sn72.keys import KeyPair
    >>> asker = Asker(KeyPair.from_seed(bytes(32)), receiver="5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty")
    >>> query = asker.query(b"a picture", timeout_seconds=9.0)
    >>> query.path, query.headers["timeout"]
    ('/ImageSynapse', '9.0')
"""

from __future__ import annotations

import base64
import json
import time
import uuid
from dataclasses import dataclass
from typing import Final

from streetvision_core.serving.protocols.sn72.body import body_hash
from streetvision_core.serving.protocols.sn72.headers import RECEIVER, SENDER, signing_text
from streetvision_core.serving.protocols.sn72.keys import KeyPair

VERSION: Final = 10_005_000
"""The bittensor version whose dendrite is imitated."""


@dataclass(frozen=True, slots=True)
class SignedQuery:
    """A query that can be sent once.

    Attributes:
        path: where it goes.
        headers: signed.
        body: JSON.
    """

    path: str
    headers: dict[str, str]
    body: bytes


class Asker:
    """Makes signed queries.

    Args:
        key: signs them.
        receiver: ss58 address of the hotkey that is asked.
        hash_fields: body fields the signature covers; the public synapse class covers none.
    """

    def __init__(self, key: KeyPair, receiver: str, hash_fields: tuple[str, ...] = ()) -> None:
        self._key = key
        self._receiver = receiver
        self._hash_fields = hash_fields
        self._uuid = str(uuid.uuid1())

    def query(self, image: bytes, timeout_seconds: float) -> SignedQuery:
        """A query for one encoded image."""
        fields = {"image": base64.b64encode(image).decode(), "prediction": -1.0, "testnet_label": -1}
        hashed = body_hash(fields, self._hash_fields)
        nonce, sender = time.time_ns(), self._key.address
        signature = self._key.sign(signing_text(nonce, sender, self._receiver, self._uuid, hashed))
        headers = {
            "content-type": "application/json",
            "name": "ImageSynapse",
            "timeout": str(timeout_seconds),
            "computed_body_hash": hashed,
            f"{RECEIVER}hotkey": self._receiver,
            f"{SENDER}version": str(VERSION),
            f"{SENDER}nonce": str(nonce),
            f"{SENDER}uuid": self._uuid,
            f"{SENDER}hotkey": sender,
            f"{SENDER}signature": f"0x{signature.hex()}",
        }
        return SignedQuery("/ImageSynapse", headers, json.dumps(fields, separators=(",", ":")).encode())
