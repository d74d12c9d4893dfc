"""Runs inside an environment with bittensor 9 or 10 only: asks a server in every way with the genuine dendrite.

Usage: python sn72_dendrite.py plan.json; prints one JSON line per case. Nothing of our package is imported.
"""

import asyncio
import base64
import json
import sys
import time
from pathlib import Path
from typing import ClassVar

from bittensor.utils import networking

networking.get_external_ip = lambda: "192.0.2.1"  # else it asks the internet

import pydantic  # noqa: E402
from bittensor.core.chain_data import AxonInfo  # noqa: E402
from bittensor.core.dendrite import Dendrite  # noqa: E402
from bittensor.core.synapse import Synapse  # noqa: E402
from bittensor_wallet import Keyfile, Keypair  # noqa: E402

SECOND = 1_000_000_000


class ImageSynapse(Synapse):
    """The subnet's class, field for field."""

    testnet_label: int = -1
    image: str = pydantic.Field(title="Image", description="A base64 encoded image", default="", frozen=False)
    prediction: float = pydantic.Field(title="Prediction", default=-1.0, frozen=False)

    def deserialize(self) -> float:
        return self.prediction


class ExtendedImageSynapse(ImageSynapse):
    model_url: str = ""
    explanation: str = ""


def named_image_synapse(base, **attributes):
    return type("ImageSynapse", (base,), {"__module__": __name__, **attributes})


class Hashed(ImageSynapse):
    required_hash_fields: ClassVar[tuple[str, ...]] = ("image",)


class Tampered(Hashed):
    """Signs the hash of one image and sends another."""

    @property
    def body_hash(self) -> str:
        return Hashed(image="YQ==").body_hash


Hashed_, Tampered_ = named_image_synapse(Hashed), named_image_synapse(Tampered)


class Forger:
    """Signs with its own key under another's address."""

    def __init__(self, own, claimed):
        self.ss58_address, self.sign = claimed.ss58_address, own.sign


class Bent(Dendrite):
    """A genuine dendrite that bends what it signs, and signs it again unless the signature is to be missing."""

    bend = None

    def preprocess_synapse_for_request(self, target_axon_info, synapse, timeout=12.0):
        synapse = super().preprocess_synapse_for_request(target_axon_info, synapse, timeout)
        if self.bend is not None:
            self.bend(synapse)
            info = synapse.dendrite
            text = f"{info.nonce}.{info.hotkey}.{synapse.axon.hotkey}.{info.uuid}.{synapse.body_hash}"
            if info.signature is not None:
                info.signature = f"0x{self.keypair.sign(text).hex()}"
        return synapse


def bent(keypair, bend):
    dendrite = Bent(wallet=keypair)
    dendrite.bend = bend
    return dendrite


def set_info(**values):
    def bend(synapse):
        for name, value in values.items():
            setattr(synapse.dendrite, name, value() if callable(value) else value)

    return bend


class Cases:
    def __init__(self, plan):
        self.plan = plan
        self.keys = {name: Keypair.create_from_seed(seed) for name, seed in plan["seeds"].items()}
        self.image = plan["images"][0]
        self.axon = self.target(plan["receiver"])
        self.validator = Dendrite(wallet=self.keys["validator"])

    def target(self, hotkey):
        return AxonInfo(version=1, ip="127.0.0.1", port=self.plan["port"], ip_type=4, hotkey=hotkey, coldkey="")

    async def ask(self, case, dendrite=None, synapse=None, timeout=9.0, axon=None):
        asker = dendrite or self.validator
        found = await asker(
            axons=[axon or self.axon],
            synapse=synapse or ImageSynapse(image=self.image, testnet_label=1),
            deserialize=False,
            timeout=timeout,
        )
        if asker is not self.validator:
            await asker.aclose_session()
        tell(case, **summary(found[0]))

    async def run(self):
        key, stranger = self.keys["validator"], self.keys["stranger"]
        await self.ask("valid")
        await self.ask("extended class", synapse=ExtendedImageSynapse(image=self.image))
        await self.ask("body hash signed", synapse=Hashed_(image=self.image))
        await self.ask("body exchanged", synapse=Tampered_(image=self.image))
        await self.ask("forged signature", Dendrite(wallet=Forger(stranger, key)))
        await self.ask("missing signature", bent(key, set_info(signature=None)))
        await self.ask("missing nonce", bent(key, set_info(nonce=None)))
        again = bent(key, set_info(nonce=time.time_ns()))
        await self.ask("before replay", again)
        await self.ask("replay", again)
        await self.ask("stale nonce", bent(key, set_info(nonce=lambda: time.time_ns() - 60 * SECOND)), timeout=60.0)
        await self.ask("future nonce", bent(key, set_info(nonce=lambda: time.time_ns() + 30 * SECOND)))
        await self.ask("old version", bent(key, set_info(version=7_001_000)))
        await self.ask("endless timeout", timeout=3600.0)
        await self.ask("other receiver", axon=self.target(stranger.ss58_address))
        await self.ask("unknown hotkey", Dendrite(wallet=stranger))
        await self.ask("non-validator", Dendrite(wallet=self.keys["miner"]))
        await self.ask("oversized body", synapse=ImageSynapse(image="A" * self.plan["too_large"]))
        await self.ask("garbage image", synapse=ImageSynapse(image=base64.b64encode(b"garbage" * 50).decode()))
        await self.ask("no base64", synapse=ImageSynapse(image="no base64!"))
        await self.ask("deadline", synapse=ImageSynapse(image=self.plan["slow_image"]), timeout=4.0)
        await self.parallel()
        await self.hang_up()
        await self.ask("after all")
        await self.validator.aclose_session()

    async def parallel(self):
        images = self.plan["images"]
        synapses = [ImageSynapse(image=images[i % len(images)]) for i in range(50)]
        asked = (self.validator(axons=[self.axon], synapse=s, deserialize=False, timeout=60.0) for s in synapses)
        found = [one[0] for one in await asyncio.gather(*asked)]
        tell("parallel", statuses=[s.dendrite.status_code for s in found], predictions=[s.prediction for s in found])

    async def hang_up(self):
        leaver = Dendrite(wallet=self.keys["validator"])
        synapse = ImageSynapse(image=self.plan["slow_image"])
        try:
            await asyncio.wait_for(leaver(axons=[self.axon], synapse=synapse, timeout=9.0), 0.4)
            tell("hang up", left=False)
        except (TimeoutError, asyncio.CancelledError):
            tell("hang up", left=True)
        await leaver.aclose_session()

    def check_keys(self):
        key = self.keys["validator"]
        signed = self.plan["signed"]
        tell(
            "keys",
            addresses={name: pair.ss58_address for name, pair in self.keys.items()},
            ours_verified=key.verify(signed["text"], signed["signature"]),
            our_file=Keyfile(self.plan["key_file"]).get_keypair().ss58_address,
        )


def summary(synapse):
    return {
        "status": synapse.dendrite.status_code,
        "message": synapse.dendrite.status_message,
        "prediction": synapse.prediction,
        "label": synapse.testnet_label,
        "success": synapse.is_success,
        "blacklisted": synapse.is_blacklist,
        "unverified": synapse.failed_verification,
        "server_seconds": synapse.axon.process_time,
        "sender": synapse.dendrite.hotkey,
        "receiver": synapse.axon.hotkey,
        "hash": synapse.computed_body_hash,
    }


def tell(case, **found):
    print(json.dumps({"case": case, **found}), flush=True)


if __name__ == "__main__":
    cases = Cases(json.loads(Path(sys.argv[1]).read_text()))
    cases.check_keys()
    asyncio.run(cases.run())
