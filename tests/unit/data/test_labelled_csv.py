import numpy as np
import pytest

from streetvision_core.data.labelled_csv import read_labelled_csv
from streetvision_core.errors import DataError
from streetvision_core.images.decode import encode_jpeg


@pytest.fixture
def folder(tmp_path):
    for name in ("a.jpg", "b c.jpg"):
        (tmp_path / name).write_bytes(encode_jpeg(np.zeros((8, 8, 3), np.uint8)))
    return tmp_path


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("mark", ["", "﻿"])
def test_read_labelled_csv__as_spreadsheets_write_it(folder, separator, mark):
    lines = [
        ["Path", "Label", "group", "note"],
        ["a.jpg", "roadwork", "drive-1", "x"],
        ["b c.jpg", "0", "", ""],
        ["a.jpg", "", "", ""],
    ]
    file = folder / "mine.csv"
    file.write_text(mark + "\r\n".join(separator.join(line) for line in lines), encoding="utf-8")
    found = read_labelled_csv(file)
    assert [(i.path.name, i.label, i.group, i.origin) for i in found] == [
        ("a.jpg", 1, "drive-1", "mine"),
        ("b c.jpg", 0, "b c.jpg", "mine"),
    ]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("path,lable\na.jpg,1\n", "no column label"),
        ("path,label\na.jpg,maybe\n", "label 'maybe' in line 2"),
        ("path,label\na.jpg,1\nz.jpg,1\n", "'z.jpg' in line 3"),
        ("", "no column label, path"),
    ],
)
def test_read_labelled_csv__says_what_is_wrong_and_where(folder, text, named):
    file = folder / "mine.csv"
    file.write_text(text)
    with pytest.raises(DataError, match=named):
        read_labelled_csv(file)


def test_read_labelled_csv__no_text_file(tmp_path):
    (tmp_path / "photo.csv").write_bytes(b"\xff\xd8\xff\xe0 a photograph")
    with pytest.raises(DataError, match=r"photo\.csv"):
        read_labelled_csv(tmp_path / "photo.csv")
