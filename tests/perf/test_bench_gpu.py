"""The GPU benchmark runs from end to end at tiny size on a CPU; its figures there mean nothing."""

from tests.perf import bench_gpu


def test_bench_gpu__every_part_runs(capsys):
    made = bench_gpu.main(["--device", "cpu", "--size", "tiny", "--rounds", "2"])
    for part in ("dinov3", "vlm", "cascade"):
        assert "skipped" not in made[part], made[part]
    assert made["vlm"]["8 images"]["p50_ms"] > 0
    assert made["cascade"]["requests"] == 20
    assert set(made["targets_ms"]) == set(made["exit_mix"])
    assert capsys.readouterr().out.rstrip().endswith("}")
