"""The held-out set: what is shipped is what the models see, and nothing else is taken for it."""

import datetime as dt
import shutil

import numpy as np
import pytest

from streetvision_core.data.starter import starter_folder
from streetvision_core.errors import ManifestError
from streetvision_core.loop.tasks import rendered
from streetvision_core.loop.tasks.day import Day
from streetvision_core.settings import load_settings
from streetvision_core.types import Split

FRAMES = 4


@pytest.fixture
def day(tmp_path, monkeypatch):
    monkeypatch.setenv("SV_PATHS__HOME", str(tmp_path))
    monkeypatch.setenv("SV_LOOP__HELDOUT_FRAMES", str(FRAMES))
    return Day(load_settings(), dt.date(2026, 11, 20))


def test_heldout_table__shipped_rows_are_what_the_models_see_today(day, monkeypatch):
    shipped, seen = rendered.heldout_table(day), rendered.observe_heldout(day, FRAMES)
    assert not (day.workspace.data / "heldout").exists(), "nothing was rendered for it"
    for column in ("labels", "groups", "eras", "splits", "origins"):
        assert list(getattr(shipped, column)) == list(getattr(seen, column))
    norms = np.linalg.norm(shipped.features, axis=1) * np.linalg.norm(seen.features, axis=1)
    assert ((shipped.features * seen.features).sum(axis=1) / norms).min() > 0.995, rendered.BUILD_COMMAND
    np.testing.assert_allclose(shipped.evidence, seen.evidence, atol=0.02, err_msg=rendered.BUILD_COMMAND)

    # another set of models does not take these rows for its own
    day.__dict__["make"] = "0" * 12
    monkeypatch.setattr(rendered, "observe_heldout", lambda _day, n: seen.select(range(n)))
    own = rendered.heldout_table(day)
    assert own.ids == seen.ids
    assert (day.workspace.data / "heldout" / f"{FRAMES}-{'0' * 12}.npz").is_file()


def test_calibrate_frames__are_those_of_the_set(day):
    table = rendered.observe_heldout(day, 5)
    ids = [id for id, split in zip(table.ids, table.splits, strict=True) if split is Split.CALIBRATE]
    frames = rendered.calibrate_frames(2)
    assert [frame.sha256[:16] for frame in frames] == [id.rpartition("-")[0] for id in ids]


def test_heldout_table__a_file_that_is_not_the_shipped_one_is_refused(day):
    own = day.workspace.data / "starter"
    shutil.copytree(starter_folder(), own)
    (own / rendered.TABLE_FILE).write_bytes(b"something else")
    with pytest.raises(ManifestError, match=r"build_heldout"):
        rendered.heldout_table(day)
