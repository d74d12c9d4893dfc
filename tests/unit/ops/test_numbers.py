import json

import pytest

from streetvision_core.errors import DataError
from streetvision_core.ops.numbers import fill, main

BLOCK = "before\n<!-- numbers:scenes -->\n<!-- /numbers:scenes -->\nafter\n"


def test_fill__writes_the_result_and_is_idempotent(tmp_path):
    (tmp_path / "scenes.json").write_text(json.dumps({"fps": 21}))
    once = fill(BLOCK, tmp_path)
    assert '"fps": 21' in once
    assert once.startswith("before\n")
    assert once.endswith("after\n")
    assert fill(once, tmp_path) == once


def test_fill__follows_a_new_result(tmp_path):
    (tmp_path / "scenes.json").write_text(json.dumps({"fps": 21}))
    once = fill(BLOCK, tmp_path)
    (tmp_path / "scenes.json").write_text(json.dumps({"fps": 22}))
    twice = fill(once, tmp_path)
    assert '"fps": 22' in twice
    assert '"fps": 21' not in twice


@pytest.mark.parametrize("name", ["scenes", "nonsense"])
def test_fill__a_missing_result_or_block_is_named(tmp_path, name):
    with pytest.raises(DataError, match=name):
        fill(f"<!-- numbers:{name} -->\n<!-- /numbers:{name} -->", tmp_path)


def test_documents__are_up_to_date():
    assert main(["--check"]) == 0
