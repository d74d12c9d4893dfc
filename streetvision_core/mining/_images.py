"""Content-addressed image files: one file per content, written once, never changed."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from streetvision_core.errors import QueryLogError
from streetvision_core.storage import atomic_write_bytes, file_sha256

_DIGEST = re.compile(r"[0-9a-f]{64}")


def is_digest(text: str) -> bool:
    """Whether a text is the hex sha256 of something."""
    return bool(_DIGEST.fullmatch(text))


class ImageStore:
    """Files at `root/ab/<sha256>.jpg`.

    The suffix is fixed so that the digest alone gives the path; decoders look at the content, not at the name.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, sha256: str) -> Path:
        """Where the image with this digest lies, or would lie."""
        if not _DIGEST.fullmatch(sha256):
            raise QueryLogError(
                got=f"digest {sha256[:80]!r}",
                allowed="64 hexadecimal digits",
                action="take the sha256 of a QueryRow",
            )
        return self.root / sha256[:2] / f"{sha256}.jpg"

    def put(self, data: bytes) -> str:
        """Writes the image unless it is there; returns its digest."""
        sha256 = hashlib.sha256(data).hexdigest()
        self.ensure(sha256, data)
        return sha256

    def ensure(self, sha256: str, data: bytes) -> None:
        """Writes the image with this digest unless it is there."""
        path = self.path(sha256)
        if not path.exists():
            atomic_write_bytes(path, data)

    def get(self, sha256: str) -> bytes:
        """The image's bytes, checked against the digest.

        Raises:
            QueryLogError: no such image, or its bytes are damaged.
        """
        try:
            data = self.path(sha256).read_bytes()
        except FileNotFoundError:
            raise self._unusable("no image", sha256) from None
        if hashlib.sha256(data).hexdigest() != sha256:
            raise self._unusable("damaged bytes", sha256)
        return data

    def is_sound(self, sha256: str) -> bool:
        """Whether the image is there and its bytes match the digest."""
        path = self.path(sha256)
        return path.is_file() and file_sha256(path) == sha256

    def remove(self, sha256: str) -> None:
        """Deletes the image; it may be gone already."""
        self.path(sha256).unlink(missing_ok=True)

    def bytes_of(self, sha256: str) -> int:
        """Size of an image's file, 0 where there is none."""
        try:
            return self.path(sha256).stat().st_size if is_digest(sha256) else 0
        except OSError:
            return 0

    def written_at(self, sha256: str) -> float:
        """When an image's file was written, in seconds since 1970; 0 where there is none."""
        try:
            return self.path(sha256).stat().st_mtime
        except OSError:
            return 0.0

    def total_bytes(self) -> int:
        """Bytes of all images together; what goes meanwhile counts nothing."""
        total = 0
        for shard in self.root.glob("??"):
            try:
                with os.scandir(shard) as entries:
                    total += sum(entry.stat().st_size for entry in entries)
            except OSError:
                continue
        return total

    def __iter__(self) -> Iterator[str]:
        """The digests of all files, sorted."""
        return (path.stem for path in sorted(self.root.glob("??/*.jpg")) if _DIGEST.fullmatch(path.stem))

    def _unusable(self, what: str, sha256: str) -> QueryLogError:
        return QueryLogError(
            got=f"{what} for {sha256}",
            allowed="an image of the log that was not pruned",
            action="run QueryLog.check(), restore the file from a backup or leave the query out",
            sha256=sha256,
        )
