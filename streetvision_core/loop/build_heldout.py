"""Makes the starter pack's held-out set; run it again when the rendered world or a frozen model has changed.

python -m streetvision_core.loop.build_heldout --out data/starter
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import structlog

from streetvision_core.errors import StreetVisionError
from streetvision_core.loop.tasks.day import open_day
from streetvision_core.loop.tasks.rendered import ship_heldout

FRAMES: Final = 1000
_log = structlog.get_logger()


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="build_heldout", description="Make the starter pack's held-out set.")
    parser.add_argument("--out", type=Path, default=Path("data/starter"), help="folder to write (default: %(default)s)")
    parser.add_argument("--frames", type=int, default=FRAMES, help="scenes to render (default: %(default)s)")
    chosen = parser.parse_args(arguments)
    try:
        manifest = ship_heldout(open_day(), chosen.frames, chosen.out)
    except StreetVisionError as error:
        _log.error("heldout.failed", **error.to_dict())
        return 1
    _log.info("heldout.built", **manifest)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
