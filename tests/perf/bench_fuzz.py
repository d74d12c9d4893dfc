"""Byte-level fuzzing of what strangers send: the subnet's headers and body, and the image decoder.

Run: python tests/perf/bench_fuzz.py [seconds per target] [seed]; prints one JSON line last and writes
docs/benchmarks/fuzz.json. `tests/unit/test_fuzz.py` runs a few hundred inputs of the same in CI.

Each input is a small valid one with a few mutations: bits flipped, bytes set to border values, spans removed, doubled,
spliced with another valid input, lengths in the file changed. Where atheris is installed (the extra dev), the same
targets then run under it for the same time, guided by the branches of our code that an input reaches. A target may
answer or raise its named error; whatever else it does is a finding, and the input that did it is kept in `.fuzz`.
"""

from __future__ import annotations

import io
import json
import random
import re
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from streetvision_core.errors import ImageError, QueryRefusedError
from streetvision_core.images.decode import decode_image
from streetvision_core.serving.protocols.sn72.body import parse_body
from streetvision_core.serving.protocols.sn72.client import Asker
from streetvision_core.serving.protocols.sn72.headers import EMPTY_HASH, parse_headers
from streetvision_core.serving.protocols.sn72.keys import KeyPair
from streetvision_core.settings import Decode, Sn72Settings
from streetvision_core.storage import atomic_write_json

RESULT = Path(__file__).parents[2] / "docs" / "benchmarks" / "fuzz.json"
FINDINGS = Path(__file__).parents[2] / ".fuzz"
MAX_SECONDS_PER_INPUT = 2.0
_BORDERS = (0, 1, 0x7F, 0x80, 0xFE, 0xFF, 0x0A, 0x0D, 0x22, 0x2E, 0x3A)


@dataclass
class Target:
    """Something that takes bytes.

    Attributes:
        seeds: valid inputs.
        run: gives the name of what came of an input; raises only where there is a finding.
    """

    seeds: list[bytes]
    run: Callable[[bytes], str]


@dataclass
class Found:
    """What came of a target."""

    inputs: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    slowest_seconds: float = 0.0
    findings: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        return {**vars(self), "outcomes": dict(self.outcomes), "slowest_seconds": round(self.slowest_seconds, 4)}


def mutate(data: bytes, other: bytes, rng: random.Random) -> bytes:
    """A few random changes."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 5, 8, 16))):
        size = len(changed)
        if size == 0:
            break
        at, span = rng.randrange(size), rng.choice((1, 2, 4, 16, 64, max(1, size // 3)))
        kind = rng.randrange(8)
        if kind == 0:
            changed[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            changed[at] = rng.choice(_BORDERS)
        elif kind == 2:
            changed[at : at + span] = rng.randbytes(min(span, size - at))
        elif kind == 3:
            del changed[at : at + span]
        elif kind == 4:
            changed[at:at] = changed[at : at + span]
        elif kind == 5:
            start = rng.randrange(len(other) or 1)
            changed[at : at + span] = other[start : start + span]
        elif kind == 6:
            changed[at : at + 4] = rng.choice((0, 1, 2**31 - 1, 2**31, 2**32 - 1, size)).to_bytes(4, "big")
        else:
            del changed[at:]
    return bytes(changed)


def pictures() -> list[bytes]:
    """Small pictures of every format and mode we decode."""
    rng = np.random.default_rng(0)
    colour = Image.fromarray(rng.integers(0, 255, (24, 32, 3), np.uint8))
    kinds: list[tuple[Image.Image, str, dict[str, Any]]] = [
        (colour, "JPEG", {}),
        (colour, "JPEG", {"progressive": True, "quality": 30}),
        (colour.convert("L"), "JPEG", {}),
        (colour.convert("CMYK"), "JPEG", {}),
        (colour, "PNG", {}),
        (colour.convert("P"), "PNG", {}),
        (colour.convert("LA"), "PNG", {}),
        (Image.fromarray(rng.integers(0, 65535, (8, 8), np.uint16)), "PNG", {}),
        (colour, "WEBP", {"lossless": True}),
        (colour, "WEBP", {"quality": 40}),
        (colour.convert("RGBA"), "WEBP", {}),
    ]
    exif = Image.Exif()
    exif[0x0112] = 6
    kinds.append((colour, "JPEG", {"exif": exif}))
    found = []
    for image, kind, options in kinds:
        buffer = io.BytesIO()
        image.save(buffer, kind, **options)
        found.append(buffer.getvalue())
    return found


def targets() -> dict[str, Target]:
    """What is fuzzed."""
    limits, decode = Sn72Settings(), Decode(max_bytes=1_000_000, max_pixels=1_000_000)
    key = KeyPair.from_seed(b"f" * 32)
    query = Asker(key, key.address).query(b"a picture", 9.0)
    head = "\n".join(f"{name}: {value}" for name, value in query.headers.items()).encode()

    def headers(data: bytes) -> str:
        lines = (line.partition(b": ") for line in data.split(b"\n"))
        try:
            signed = parse_headers([(name, value) for name, _, value in lines], limits)
        except QueryRefusedError as error:
            return str(error.data["reason"])
        assert signed.text().count(b".") == 4
        assert 0 < signed.timeout_seconds <= limits.max_timeout_seconds
        return "read"

    def body(data: bytes) -> str:
        try:
            parse_body(data, EMPTY_HASH, limits)
        except QueryRefusedError as error:
            return str(error.data["reason"])
        return "read"

    def decoder(data: bytes) -> str:
        try:
            frame = decode_image(data, "fuzz", decode)
        except ImageError as error:
            return type(error).__name__
        assert frame.pixels.ndim == 3
        assert frame.pixels.dtype == np.uint8
        assert 0 < frame.width * frame.height <= decode.max_pixels
        return "decoded"

    deep = json.dumps({"image": "YQ==", "x": [[[{}], "\ud800", 1e400, None]]}).encode()
    return {
        "sn72 headers": Target([head, head.replace(b"9.0", b"12.5")], headers),
        "sn72 body": Target([query.body, deep], body),
        "image decoder": Target(pictures(), decoder),
    }


def inputs(target: Target, rng: random.Random) -> Iterator[bytes]:
    """The valid inputs, then mutated ones without end."""
    yield from target.seeds
    while True:
        yield mutate(rng.choice(target.seeds), rng.choice(target.seeds), rng)


def fuzz(target: Target, seed: int, seconds: float = float("inf"), most: int = sys.maxsize) -> Found:
    """Tries inputs until the time is over or there were enough."""
    found, ends = Found(), time.perf_counter() + seconds
    for data in inputs(target, random.Random(seed)):
        started = time.perf_counter()
        try:
            outcome = target.run(data)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            outcome = f"FINDING {type(error).__name__}"
            keep(data, traceback.format_exc(), found)
        took = time.perf_counter() - started
        if took > MAX_SECONDS_PER_INPUT:
            keep(data, f"took {took:.1f} s", found)
        found.inputs += 1
        found.outcomes[outcome] += 1
        found.slowest_seconds = max(found.slowest_seconds, took)
        if found.inputs >= most or time.perf_counter() > ends:
            return found
    raise AssertionError


def guided(name: str, target: Target, seed: int, seconds: float) -> dict[str, Any] | None:
    """The target under atheris, in a process of its own; None where it is not installed."""
    if find_spec("atheris") is None:
        return None
    FINDINGS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as corpus:
        for i, data in enumerate(target.seeds):
            (Path(corpus) / str(i)).write_bytes(data)
        options = [f"-max_total_time={max(1, int(seconds))}", f"-seed={seed + 1}", "-max_len=4096"]
        options += ["-print_final_stats=1", f"-artifact_prefix={FINDINGS}/", f"-timeout={int(MAX_SECONDS_PER_INPUT)}"]
        script = str(Path(__file__).with_name("fuzz_guided.py"))
        command = [sys.executable, script, name, *options, corpus]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    ran = re.search(r"stat::number_of_executed_units:\s*(\d+)", done.stderr)
    reached = re.findall(r"cov: (\d+)", done.stderr)
    return {
        "inputs": int(ran.group(1)) if ran else 0,
        "branches": int(reached[-1]) if reached else 0,
        "findings": [] if ran and done.returncode == 0 else [done.stderr[-2000:]],
    }


def keep(data: bytes, why: str, found: Found) -> None:
    FINDINGS.mkdir(exist_ok=True)
    path = FINDINGS / f"{abs(hash(data)):x}"
    path.write_bytes(data)
    found.findings.append(f"{path}: {why[-2000:]}")


def main(seconds: float, seed: int) -> None:
    blind, steered = {}, {}
    for name, target in targets().items():
        blind[name] = fuzz(target, seed, seconds).to_dict()
        steered[name] = guided(name, target, seed, seconds)
    ran = [found for found in (*blind.values(), *steered.values()) if found is not None]
    result = {
        "benchmark": "fuzz",
        "inputs": sum(found["inputs"] for found in ran),
        "findings": sum(len(found["findings"]) for found in ran),
        "seconds_per_target": seconds,
        "seed": seed,
        "mutated": blind,
        "guided": steered,
    }
    atomic_write_json(RESULT, result)
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 60.0, int(sys.argv[2]) if len(sys.argv) > 2 else 0)
