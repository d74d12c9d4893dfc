import csv
from pathlib import Path

import cv2
import numpy as np
import pytest

from streetvision_core.data._attribution import SOURCES
from streetvision_core.data._variants import VARIANTS, variants
from streetvision_core.data.build_starter import main, usable
from streetvision_core.data.sources import read_labels
from streetvision_core.data.starter import load_starter
from streetvision_core.data.table import OLD_ERA_WEIGHT
from streetvision_core.errors import DataError, ManifestError
from streetvision_core.types import Frame, Split

GTSDB, CMU = "German Traffic Sign Detection Benchmark", "CMU ROADWork / Mi3-Lab"
COLUMNS = ("path", "label", "group", "origin", "licence", "may_train_shipped_weights", "note")


@pytest.fixture(scope="module")
def streets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six photos: four that may go in, one of CamVid, one of unknown origin."""
    root = tmp_path_factory.mktemp("streets")
    rng = np.random.default_rng(0)
    rows = [
        ("a.jpg", "roadwork", "g1", CMU, "ODC-By", "yes", ""),
        ("b.jpg", "none", "g2", GTSDB, "free", "yes", ""),
        ("c.jpg", "none", "g3", GTSDB, "free", "yes", ""),
        ("d.jpg", "none", "g4", GTSDB, "free", "yes", ""),
        ("e.jpg", "none", "g5", "CamVid", "CC BY-NC 4.0", "no", ""),
        ("f.jpg", "roadwork", "g6", CMU, "MIT", "yes", "origin unknown"),
    ]
    for name, *_ in rows:
        small = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        cv2.imwrite(str(root / name), cv2.resize(small, (240, 180), interpolation=cv2.INTER_NEAREST))
    (root / "d.jpg").write_bytes((root / "c.jpg").read_bytes())
    with (root / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    return root


@pytest.fixture(scope="module")
def pack(streets: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SV_PATHS__DATA", str(data))
        assert main(["--streets", str(streets), "--without-evidence"]) == 0
        assert main(["--streets", str(streets), "--out", str(data / "again"), "--without-evidence"]) == 0
    return data / "starter"


def test_build__rows(pack: Path) -> None:
    loaded = load_starter(pack)
    table = loaded.table
    assert len(table) == 4 * sum(VARIANTS.values()) == len(set(table.ids))
    assert set(table.origins) == {CMU, GTSDB}
    assert set(loaded.licences) == {"ODC-By", "free"}
    assert table.dim == 2560
    assert np.isnan(table.evidence).all()
    assert table.ids[0] == "a.jpg#native"


def test_build__composed_twins_of_train_photos(pack: Path) -> None:
    loaded = load_starter(pack)
    composed, table = loaded.composed, loaded.table
    train_none = {
        g for g, s, y in zip(table.groups, table.splits or (), table.labels, strict=True) if s == "TRAIN" and y == 0
    }
    assert set(composed.groups) == train_none
    assert set(composed.splits or ()) == {Split.TRAIN}
    assert set(composed.labels.tolist()) == {0, 1}
    assert set(composed.origins) == {GTSDB + " (composed)"}
    assert composed.weights.max() < table.weights.max() == 1.0
    assert {w for w, era in zip(table.weights, table.eras, strict=True) if era != "native"} == {
        np.float32(OLD_ERA_WEIGHT)
    }
    assert len(loaded.training_table()) == len(table) + len(composed)


def test_build__duplicates_share_a_group_and_a_split(pack: Path) -> None:
    table = load_starter(pack).table
    of_c = {g for g, name in zip(table.groups, table.ids, strict=True) if name[0] in "cd"}
    assert len(of_c) == 1
    splits: dict[str, set[Split]] = {}
    for group, split in zip(table.groups, table.splits or (), strict=True):
        splits.setdefault(group, set()).add(split)
    assert all(len(found) == 1 for found in splits.values())


def test_build__the_same_bytes_again(pack: Path) -> None:
    again = pack.parent / "again"
    assert {p.name for p in again.iterdir()} == {
        "starter.npz",
        "composed.npz",
        "ATTRIBUTION.md",
        "README.md",
        "manifest.json",
    }
    assert all((again / p.name).read_bytes() == p.read_bytes() for p in pack.iterdir())


def test_build__attribution_names_every_origin(pack: Path) -> None:
    text = (pack / "ATTRIBUTION.md").read_text()
    assert all(SOURCES[origin].citation in text for origin in (CMU, GTSDB))
    assert "Udacity" not in text


def test_build__nothing_usable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SV_PATHS__DATA", str(tmp_path))
    (tmp_path / "labels.csv").write_text(",".join(COLUMNS) + "\n")
    assert main(["--streets", str(tmp_path), "--without-evidence"]) == 1


def test_usable__never_camvid(streets: Path) -> None:
    assert {image.path.name for image in usable(read_labels(streets))} == {"a.jpg", "b.jpg", "c.jpg", "d.jpg"}
    assert "CamVid" not in SOURCES


def test_variants__the_same_every_time() -> None:
    photo = Frame.from_pixels(np.random.default_rng(0).integers(0, 256, (90, 160, 3), dtype=np.uint8), "p")
    first, second = list(variants(photo, "p")), list(variants(photo, "p"))
    assert [v.frame.sha256 for v in first] == [v.frame.sha256 for v in second]
    assert len({v.frame.sha256 for v in first}) == len(first) == 5
    assert [(v.era, v.frame.width) for v in first[::2]] == [("native", 160), ("crop-224", 224), ("letterbox-224", 224)]


def test_load_starter__changed_file(pack: Path, tmp_path: Path) -> None:
    for path in pack.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "starter.npz").write_bytes(b"other")
    with pytest.raises(ManifestError, match=r"starter\.npz"):
        load_starter(tmp_path)


def test_load_starter__missing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="build_starter"):
        load_starter(tmp_path)


def test_load_starter__shipped_pack() -> None:
    pack = load_starter()
    assert "CamVid" not in set(pack.table.origins)
    for split in Split:
        labels = pack.table.labels[pack.table.in_split(split)]
        assert {0, 1} <= set(labels.tolist())
