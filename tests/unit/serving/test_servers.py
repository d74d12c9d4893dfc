import pytest

from streetvision_core.errors import ServingError
from streetvision_core.serving.servers import ServerSpec, parse_specs, read_specs, write_specs


def test_parse_specs__address_and_weight():
    specs = parse_specs(["unix:/run/blue.sock=9", "http://127.0.0.1:8102", "http://[::1]:8103=0"])
    assert [(s.url, s.weight) for s in specs] == [
        ("unix:/run/blue.sock", 9),
        ("http://127.0.0.1:8102", 1),
        ("http://[::1]:8103", 0),
    ]


@pytest.mark.parametrize(
    "texts",
    [
        [],
        ["127.0.0.1:80"],
        ["https://127.0.0.1:80"],
        ["http://127.0.0.1"],
        ["http://127.0.0.1:80/x"],
        ["http://127.0.0.1:port"],
        ["unix:"],
        ["http://127.0.0.1:80=-1"],
        ["http://127.0.0.1:80=nan"],
        ["http://127.0.0.1:80=inf"],
        ["http://127.0.0.1:80=some"],
        ["http://127.0.0.1:80", "http://127.0.0.1:80=2"],
    ],
)
def test_parse_specs__refuses(texts):
    with pytest.raises(ServingError):
        parse_specs(texts)


def test_read_specs__what_was_written(tmp_path):
    specs = (ServerSpec("blue", "unix:/run/blue.sock", 9), ServerSpec("green", "http://127.0.0.1:8102", 0.5))
    write_specs(tmp_path / "models.yaml", specs)
    assert read_specs(tmp_path / "models.yaml") == specs


@pytest.mark.parametrize(
    "text",
    ["", "[", "- blue", "blue: 1", "blue: {weight: 1}", "blue: {url: 1}", "blue: {url: 'unix:/a', wieght: 1}",
     "blue: {url: 'unix:/a', weight: yes}", "blue: {url: 'unix:/a', weight: '9'}", "blue: {url: /a}"],
)  # fmt: skip
def test_read_specs__refuses(tmp_path, text):
    (tmp_path / "models.yaml").write_text(text)
    with pytest.raises(ServingError):
        read_specs(tmp_path / "models.yaml")


def test_read_specs__no_file_is_named(tmp_path):
    with pytest.raises(ServingError, match="FileNotFoundError"):
        read_specs(tmp_path / "models.yaml")
