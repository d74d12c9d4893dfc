import inspect

import pytest

from streetvision_core import errors


def leaves():
    return [e for _, e in inspect.getmembers(errors, inspect.isclass) if issubclass(e, Exception)]


@pytest.mark.parametrize("error", leaves())
def test_errors__all_derive_from_the_root(error):
    assert issubclass(error, errors.StreetVisionError)


def test_streetvision_error__says_got_allowed_do():
    error = errors.ImageFormatError("a GIF", "JPEG, PNG, WEBP", "convert it", path="a.gif")
    assert str(error) == "got a GIF; allowed: JPEG, PNG, WEBP; do: convert it"
    assert error.data == {"path": "a.gif"}
    assert error.to_dict()["error"] == "ImageFormatError"


def test_missing_extra_error__tells_the_command():
    assert "run: streetvision install gpu" in str(errors.MissingExtraError("timm", "gpu"))
