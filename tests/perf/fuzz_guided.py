"""One target of `bench_fuzz.py` under atheris.

Usage: python fuzz_guided.py TARGET [libFuzzer options] CORPUS; ends with an error where there is a finding.
"""

import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parent))
with atheris.instrument_imports(include=["streetvision_core.serving.protocols", "streetvision_core.images"]):
    import bench_fuzz

if __name__ == "__main__":
    target = bench_fuzz.targets()[sys.argv[1]]

    def run(data: bytes) -> None:
        target.run(data)

    atheris.Setup([sys.argv[0], *sys.argv[2:]], run)
    atheris.Fuzz()
