"""The named errors of pictures: what was got, what is allowed, and what to do, by what the file is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from streetvision_core.errors import ImageBrokenError, ImageFormatError, ImageTooLargeError
from streetvision_core.images.sniff import UNKNOWN, Kind

SAVE_ANEW: Final = "save it as a plain JPEG or PNG"
_BY_NAME: Final = {
    "HTML page": "download the picture itself; this is a page of a web site, perhaps one that says why not",
    "git-LFS pointer": "run: git lfs pull",
    "macOS attributes file": "give the file without ._ in front of its name",
}
_BY_MEDIA: Final = {
    "video": "give it to `streetvision predict`, or POST it to /v1/predict/video",
    "image": SAVE_ANEW,
    "sound": "give a picture or a video",
}


class RefusedError(Exception):
    """A format's own bound or rule refuses a file.

    Args:
        got: what it is.
        allowed: what would be read.
        action: what to do.
        large: whether a bound was broken.
    """

    def __init__(self, got: str, allowed: str, action: str = SAVE_ANEW, *, large: bool = False) -> None:
        super().__init__(got)
        self.got, self.allowed, self.action, self.large = got, allowed, action, large

    def named(self, source: str) -> ImageFormatError | ImageTooLargeError:
        """The named error for a file of this name."""
        kind = ImageTooLargeError if self.large else ImageFormatError
        return kind(got=f"{self.got} from {source}", allowed=self.allowed, action=self.action, source=source)


def broken(source: str, what: str) -> ImageBrokenError:
    """The error of a file that cannot be decoded."""
    return ImageBrokenError(
        got=f"{' '.join(what.split())} from {source}",
        allowed="a complete picture",
        action="send or store the image again",
        source=source,
    )


def above(got: str, name: str, most: int, unit: str) -> RefusedError:
    """A limit of the settings section `decode` is broken."""
    action = f"send a smaller picture, or raise SV_DECODE__{name.upper()}"
    return RefusedError(got, f"at most {most} {unit}", action, large=True)


def not_a_picture(kind: Kind, head: bytes, formats: Sequence[str]) -> RefusedError:
    """A file that holds something else than a picture we read."""
    name = f"{kind.name} (first bytes {head[:8].hex()})" if kind == UNKNOWN else kind.name
    action = _BY_NAME.get(kind.name) or _BY_MEDIA.get(kind.media, "give a picture")
    return RefusedError(name, ", ".join(formats), action)
