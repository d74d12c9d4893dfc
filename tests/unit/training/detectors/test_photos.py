import numpy as np
import pytest

from streetvision_core.errors import DataError
from streetvision_core.settings import load_settings
from streetvision_core.training.detectors._photos import (
    cone_photos,
    german_negatives,
    german_works,
    labelled_rows,
    read_rgb,
)
from streetvision_core.training.detectors._samples import IGNORE, is_seen_group
from streetvision_core.training.detectors.report import origins

STREETS = load_settings().paths.resolve("streets")


def test_read_rgb__missing(tmp_path):
    with pytest.raises(DataError, match=r"no\.jpg"):
        read_rgb(tmp_path / "no.jpg")


@pytest.fixture
def tiny(tmp_path):
    import cv2

    (tmp_path / "cones/train/images").mkdir(parents=True)
    (tmp_path / "cones/train/labels").mkdir()
    (tmp_path / "cones/data.yaml").write_text("names:\n- Cone\n- car\n- isolation-pile\nnc: 3\n")
    cv2.imwrite(str(tmp_path / "cones/train/images/a.jpg"), np.zeros((100, 200, 3), np.uint8))
    lines = ["0 0.5 0.5 0.1 0.2", "1 0.1 0.1 0.1 0.1", "2 0.2 0.5 0.1 0.2", "0 0.1 0.1 0.3 0.1 0.2 0.4", ""]
    (tmp_path / "cones/train/labels/a.txt").write_text("\n".join(lines))
    return tmp_path


def test_cone_photos__untidy_names_and_polygons(tiny):
    (sample,) = cone_photos(tiny, "train")
    assert sample.labels.tolist() == [0, IGNORE, 0]
    assert np.allclose(sample.corners, [[90, 40, 110, 60], [30, 40, 50, 60], [20, 10, 60, 40]], atol=1e-3)
    assert sample.known.tolist() == [True] + [False] * 5


@pytest.mark.streets
@pytest.mark.skipif(not STREETS.is_dir(), reason="the real photos are not here")
def test_training_photos__touch_no_evaluation_group():
    trained = {group for _, group in german_negatives(STREETS)} | {s.group for s in german_works(STREETS)}
    rows = {r["path"]: r for r in labelled_rows(STREETS, "")}
    measured = {rows[str(p.relative_to(STREETS))]["group"] for ps in origins(STREETS).values() for p in ps}
    assert trained
    assert not trained & measured
    assert all(is_seen_group(group) for group in trained)
    assert all(rows[str(p.relative_to(STREETS))]["label"] == "none" for p, _ in german_negatives(STREETS))
    trains = {r["group"] for r in rows.values() if r["may_train_shipped_weights"] == "yes"}
    assert trained <= trains
