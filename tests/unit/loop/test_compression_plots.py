from pathlib import Path

from streetvision_core.compression.benchmark import Faster, Timing
from streetvision_core.compression.int8 import Quantized
from streetvision_core.compression.report import Candidate, CompressionReport
from streetvision_core.loop import plots


def report(accepted: bool) -> CompressionReport:
    model = Quantized(Path("copy.onnx"), "static", 250_000, "0" * 64, 1.0)
    speed = Faster(True, 0.5, 0.001)
    made = Candidate(
        "static", accepted, "accepted: …" if accepted else "refused, …", model, Timing((0.01,)), speed, 0.8, 2
    )
    broken = Candidate("dynamic", False, "refused: an operator")
    kept = "int8-static" if accepted else "fp32"
    return CompressionReport(kept, Path("m.onnx"), "…", 16, 1_000_000, 0.8, Timing((0.02,)), (made, broken))


REPORTS = {"backbone": report(True), "yolo12n": report(False)}


def test_compression_table__says_of_each_model_what_is_kept_and_why():
    table = plots.compression_table(REPORTS)
    assert list(table.model) == ["backbone"] * 3 + ["yolo12n"] * 3
    assert list(table.kept) == [False, True, False, True, False, False]
    assert list(table.milliseconds[:2]) == [20, 10]
    assert list(table.MB[:2]) == [1.0, 0.25]
    assert list(table.why) == [
        "a copy passed", "accepted: …", "refused: an operator", "kept", "refused, …", "refused: an operator",
    ]  # fmt: skip


def test_compression__draws_what_could_be_timed():
    figure = plots.compression(REPORTS)
    assert [axis.get_title() for axis in figure.axes] == ["backbone", "yolo12n"]
    assert [len(axis.patches) for axis in figure.axes] == [2, 2]
