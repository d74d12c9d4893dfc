"""The held-out set: what is shipped is what the models see, and nothing else is taken for it."""

import shutil

import numpy as np
import pytest

from streetvision_core.data.observe import Observer
from streetvision_core.data.starter import starter_folder
from streetvision_core.errors import ManifestError
from streetvision_core.learning import rendered
from streetvision_core.settings import load_settings
from streetvision_core.types import Split

FRAMES = 4


@pytest.fixture
def observer(tmp_path, monkeypatch):
    monkeypatch.setenv("SV_PATHS__HOME", str(tmp_path))
    return Observer.of(load_settings())


def test_heldout_rows__shipped_rows_are_what_the_models_see_today(observer, monkeypatch, tmp_path):
    folder = tmp_path / "heldout"
    found, made = rendered.heldout_rows(observer, FRAMES, folder), rendered.render_heldout(observer, FRAMES)
    rendered.save_heldout(found, observer, folder)
    assert not folder.exists(), "what is shipped is kept nowhere else"
    assert {row.world for row in found.rows} == {row.world for row in made.rows} == {"rendered"}
    shipped, seen = found.table, made.table
    for column in ("labels", "groups", "eras", "splits", "origins"):
        assert list(getattr(shipped, column)) == list(getattr(seen, column))
    norms = np.linalg.norm(shipped.features, axis=1) * np.linalg.norm(seen.features, axis=1)
    assert ((shipped.features * seen.features).sum(axis=1) / norms).min() > 0.995, rendered.BUILD_COMMAND
    np.testing.assert_allclose(shipped.evidence, seen.evidence, atol=0.02, err_msg=rendered.BUILD_COMMAND)

    # another set of models does not take these rows for its own
    monkeypatch.setattr(Observer, "make", "0" * 12)
    monkeypatch.setattr(rendered, "render_heldout", lambda _observer, n: made.select(range(n)))
    own = rendered.heldout_rows(observer, FRAMES, folder)
    assert own.table.ids == seen.ids
    rendered.save_heldout(own, observer, folder)
    assert (folder / f"{FRAMES}-{'0' * 12}.npz").is_file()
    monkeypatch.setattr(rendered, "render_heldout", None)
    assert rendered.heldout_rows(observer, FRAMES, folder).table.ids == seen.ids


def test_calibrate_frames__are_those_of_the_set(observer):
    table = rendered.render_heldout(observer, 5).table
    ids = [id for id, split in zip(table.ids, table.splits, strict=True) if split is Split.CALIBRATE]
    frames = rendered.calibrate_frames(2)
    assert [frame.sha256[:16] for frame in frames] == [id.rpartition("-")[0] for id in ids]


def test_heldout_rows__a_file_that_is_not_the_shipped_one_is_refused(observer, tmp_path):
    own = tmp_path / "data" / "starter"
    shutil.copytree(starter_folder(), own)
    (own / rendered.TABLE_FILE).write_bytes(b"something else")
    with pytest.raises(ManifestError, match=r"build_heldout"):
        rendered.heldout_rows(observer, FRAMES, tmp_path / "heldout")
