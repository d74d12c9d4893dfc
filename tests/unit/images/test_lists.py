import pytest

from streetvision_core.errors import DataError, FileMissingError
from streetvision_core.images.lists import read_paths, read_table


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_read_table__as_spreadsheets_write_them(tmp_path, separator, encoding, newline):
    rows = [["path", "label", "note"], ["straße 1.jpg", "roadwork", ""], ['"b,c;d.jpg"', "none", "x"]]
    path = tmp_path / "table.csv"
    path.write_bytes(newline.join(separator.join(row) for row in rows).encode(encoding))
    header, found = read_table(path)
    assert header == rows[0]
    assert found == [
        {"path": "straße 1.jpg", "label": "roadwork", "note": ""},
        {"path": "b,c;d.jpg", "label": "none", "note": "x"},
    ]


def test_read_table__short_rows_are_filled_and_long_ones_cut(tmp_path):
    (tmp_path / "t.csv").write_text("path;label\na.jpg\nb.jpg;none;more\n")
    assert read_table(tmp_path / "t.csv")[1] == [
        {"path": "a.jpg", "label": ""},
        {"path": "b.jpg", "label": "none"},
    ]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("path\na.jpg\nsub/b.jpg\n", ["a.jpg", "sub/b.jpg"]),
        ("Label;File\nnone;a.jpg\nnone;\n", ["a.jpg"]),
        ("a.jpg\nb,1.jpg\n\n", ["a.jpg", "b,1.jpg"]),
    ],
)
def test_read_paths__count_from_the_lists_own_folder(tmp_path, text, names):
    (tmp_path / "list.csv").write_text(text)
    assert read_paths(tmp_path / "list.csv") == [tmp_path / name for name in names]


def test_read_paths__an_absolute_path_stays_one(tmp_path):
    (tmp_path / "list.csv").write_text("path\n/photos/a.jpg\n")
    assert str(read_paths(tmp_path / "list.csv")[0]) == "/photos/a.jpg"


def test_read_paths__nothing_in_it_is_named(tmp_path):
    (tmp_path / "list.csv").write_text("path\n\n")
    with pytest.raises(DataError, match="no path in"):
        read_paths(tmp_path / "list.csv")
    (tmp_path / "list.csv").write_text("")
    with pytest.raises(DataError, match="no header"):
        read_table(tmp_path / "list.csv")
    with pytest.raises(FileMissingError):
        read_table(tmp_path / "gone.csv")
