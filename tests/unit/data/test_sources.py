from pathlib import Path

import cv2
import numpy as np
import pytest

from streetvision_core.data.sources import FolderSource, read_labels
from streetvision_core.errors import DataError, NoImagesError
from streetvision_core.settings import load_settings

HEADER = "path,label,group,origin,licence,may_train_shipped_weights,note\n"


def write_image(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((8, 8, 3), 90, np.uint8))


def test_read_labels__rows(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpg", "c.jpg", "d.jpg"):
        write_image(tmp_path / name)
    (tmp_path / "labels.csv").write_text(
        HEADER
        + 'a.jpg,roadwork,boston,CMU,"ODC-By, MIT",yes,"hand label, 1 fps"\n'
        + "b.jpg,none,camvid,CamVid,CC BY-NC 4.0,no,\n"
        + "c.jpg,ambiguous,g,GTSDB,free,yes,\n"
        + "d.jpg,objects,cones,Roboflow,CC BY 4.0,yes,\n"
    )
    a, b, c, d = read_labels(tmp_path)
    assert (a.label, a.group, a.licence, a.may_train, a.note) == (1, "boston", "ODC-By, MIT", True, "hand label, 1 fps")
    assert (b.label, b.may_train) == (0, False)
    assert (c.label, c.kind, d.label, d.kind) == (None, "ambiguous", None, "objects")
    assert a.read().pixels.shape == (8, 8, 3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,label\n", "no column group"),
        (HEADER + "a.jpg,maybe,g,o,l,yes,\n", "label 'maybe' in line 2"),
        (HEADER + "z.jpg,none,g,o,l,yes,\n", "'z.jpg' in line 2, which does not exist"),
    ],
)
def test_read_labels__broken(tmp_path: Path, text: str, message: str) -> None:
    write_image(tmp_path / "a.jpg")
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        read_labels(tmp_path)


def test_read_labels__missing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="SV_PATHS__STREETS"):
        read_labels(tmp_path)


@pytest.mark.streets
def test_read_labels__street_photos() -> None:
    root = load_settings("embedded").paths.resolve("streets")
    if not root.is_dir():
        pytest.skip("no street photos here")
    images = read_labels(root)
    assert all(not image.may_train for image in images if image.origin == "CamVid")
    assert sum(image.label == 1 for image in images) > 100


def test_folder_source__labels_and_groups(tmp_path: Path) -> None:
    root = tmp_path / "mine"
    for name in ("roadwork/drive-7/1.jpg", "roadwork/drive-7/2.jpg", "none/3.jpg", "4.jpg", "drive-8/5.jpg"):
        write_image(root / name)
    found = {image.path.name: (image.label, image.group, image.kind) for image in FolderSource(root)}
    assert found == {
        "1.jpg": (1, "mine/drive-7", "roadwork"),
        "2.jpg": (1, "mine/drive-7", "roadwork"),
        "3.jpg": (0, "none/3.jpg", "none"),
        "4.jpg": (None, "4.jpg", "unknown"),
        "5.jpg": (None, "mine/drive-8", "unknown"),
    }
    assert all(not image.may_train for image in FolderSource(root))


def test_folder_source__empty(tmp_path: Path) -> None:
    with pytest.raises(NoImagesError):
        FolderSource(tmp_path).images()
