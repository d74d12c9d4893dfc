import copy
import os

import pytest

from streetvision_core.loop.fingerprint import package_sha256, step_fingerprint, tree_sha256

NOTEBOOK = {
    "metadata": {"kernelspec": {"name": "python3"}},
    "cells": [
        {
            "cell_type": "code",
            "metadata": {"tags": ["parameters"]},
            "source": "A = 1",
            "outputs": [],
            "execution_count": None,
        }
    ],
}


@pytest.fixture
def package(tmp_path):
    folder = tmp_path / "package"
    folder.mkdir()
    (folder / "a.py").write_text("x = 1\n")
    (folder / "README.md").write_text("about\n")
    return folder


def fingerprint(package, notebook=NOTEBOOK, parameters=None, inputs=None, settings="s", upstream=None):
    return step_fingerprint(
        notebook, parameters or {}, inputs or {}, settings_sha256=settings, upstream=upstream or {}, package=package
    )


def with_cell(**changes):
    notebook = copy.deepcopy(NOTEBOOK)
    notebook["cells"][0].update(changes)
    return notebook


def test_step_fingerprint__same_for_outputs_counts_and_kernelspec(package):
    other = with_cell(outputs=[{"output_type": "stream"}], execution_count=7)
    other["metadata"] = {}
    assert fingerprint(package, other) == fingerprint(package)


def test_step_fingerprint__same_for_source_as_list(package):
    assert fingerprint(package, with_cell(source=["A = ", "1"])) == fingerprint(package)


@pytest.mark.parametrize(
    "changed",
    [
        {"notebook": with_cell(source="A = 2")},
        {"notebook": with_cell(metadata={})},
        {"parameters": {"A": 2}},
        {"settings": "t"},
        {"upstream": {"ingest": "d1"}},
    ],
)
def test_step_fingerprint__differs(package, changed):
    assert fingerprint(package, **changed) != fingerprint(package)


def test_step_fingerprint__differs_when_an_input_appears_changes_or_goes(package, tmp_path):
    path = tmp_path / "in.txt"
    seen = {fingerprint(package, inputs={"in": path})}
    for text in ("one", "two"):
        path.write_text(text)
        os.utime(path, ns=(0, 0) if text == "one" else (1, 1))
        seen.add(fingerprint(package, inputs={"in": path}))
    assert len(seen) == 3
    path.unlink()
    assert fingerprint(package, inputs={"in": path}) in seen


def test_package_sha256__follows_source_not_documents(package):
    before = package_sha256(package)
    (package / "README.md").write_text("more about\n")
    (package / "__pycache__").mkdir()
    (package / "__pycache__" / "a.cpython-311.pyc").write_bytes(b"x")
    assert package_sha256(package) == before
    (package / "b.html").write_text("<p>")
    assert package_sha256(package) != before


def test_tree_sha256__sees_names_and_bytes(tmp_path):
    folder = tmp_path / "queries"
    assert tree_sha256(folder) == "absent"
    folder.mkdir()
    empty = tree_sha256(folder)
    (folder / "a").write_text("1")
    one = tree_sha256(folder)
    (folder / "a").rename(folder / "b")
    assert len({"absent", empty, one, tree_sha256(folder)}) == 4
