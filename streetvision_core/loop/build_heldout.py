"""Makes the starter pack's held-out set; run it again when the rendered world or a frozen model has changed.

python -m streetvision_core.loop.build_heldout --out data/starter
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import structlog

from streetvision_core.data.observe import Observer
from streetvision_core.errors import StreetVisionError
from streetvision_core.learning.rendered import save_shipped_heldout
from streetvision_core.settings import load_settings

FRAMES: Final = 1000
_log = structlog.get_logger()


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="build_heldout", description="Make the starter pack's held-out set.")
    parser.add_argument("--out", type=Path, default=Path("data/starter"), help="folder to write (default: %(default)s)")
    parser.add_argument("--frames", type=int, default=FRAMES, help="scenes to render (default: %(default)s)")
    chosen = parser.parse_args(arguments)
    try:
        manifest = save_shipped_heldout(Observer.of(load_settings()), chosen.frames, chosen.out)
    except StreetVisionError as error:
        _log.error("heldout.failed", **error.to_dict())
        return 1
    _log.info("heldout.built", **manifest)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
