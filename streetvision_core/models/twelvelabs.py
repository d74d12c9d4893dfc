"""TwelveLabs Marengo 3.0: a search service for long videos. Optional, outside, and metered.

The account's minutes are counted in a file before a video is sent, so that a crash never forgets one; a video that is
already indexed is not sent again. API: twelvelabs 1.3.6 (`assets`, `indexes.indexed_assets`, `search.query`).
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Final

from filelock import FileLock

from streetvision_core.errors import MissingExtraError, QuotaError, VideoSearchError
from streetvision_core.images.decode import encode_jpeg
from streetvision_core.images.video import Video
from streetvision_core.storage import atomic_write_json, file_sha256
from streetvision_core.types import Frame

MODEL: Final = "marengo3.0"
KEY_VARIABLE: Final = "TWELVE_LABS_API_KEY"
MAX_BYTES: Final = 200 * 10**6
"""Of a direct upload (documentation of `assets.create`)."""
_INDEX_NAME: Final = "streetvision-roadwork"


@dataclass(frozen=True, slots=True)
class Sent:
    """A video that was sent.

    Attributes:
        minutes: what it counts against the quota.
        asset_id: the uploaded file; empty while that is not known.
        indexed_id: the indexed video; empty until indexing was asked for.
        ready: whether it can be searched.
    """

    minutes: float
    asset_id: str = ""
    indexed_id: str = ""
    ready: bool = False


class TwelveLabsSearch:
    """Finds stretches of a video by words or by an example image.

    Args:
        ledger: JSON file that remembers the index, the videos and their minutes.
        quota_minutes: what the account has, all in all (the free plan: 600, which do not come back).
        api_key: None takes the variable TWELVE_LABS_API_KEY.
        base_url: None takes the service's own address.
        poll_seconds: between two looks at whether a video is ready.
        wait_seconds: longest wait for that; the next call goes on where this one stopped.

    Raises:
        MissingExtraError: the SDK is not installed.
        VideoSearchError: no key.
    """

    def __init__(
        self,
        ledger: Path,
        quota_minutes: float,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        poll_seconds: float = 5.0,
        wait_seconds: float = 3600.0,
    ) -> None:
        try:
            from twelvelabs import TwelveLabs
        except ImportError as error:
            raise MissingExtraError("twelvelabs", "twelvelabs") from error
        key = api_key or os.environ.get(KEY_VARIABLE)
        if not key:
            raise VideoSearchError("no API key", f"a key in {KEY_VARIABLE}", "make one in the TwelveLabs dashboard")
        self._client: Any = TwelveLabs(api_key=key, **({} if base_url is None else {"base_url": base_url}))
        self._ledger, self._quota = ledger, quota_minutes
        self._poll, self._wait = poll_seconds, wait_seconds

    @property
    def minutes_left(self) -> float:
        """Minutes of the quota that no video has taken."""
        return self._quota - sum(sent.minutes for sent in self._read()[1].values())

    def find(
        self, video: Video, text: str = "", examples: Sequence[Frame] = (), count: int = 6
    ) -> tuple[tuple[float, float], ...]:
        """The best stretches (start, end) in seconds, in order of time.

        Args:
            video: a video file of at most 200 MB; the whole of it is sent.
            text: words; empty only if there is an example.
            examples: at most one frame (with words: both must fit).
            count: at most so many stretches.

        Raises:
            QuotaError: fewer minutes are left than the video has; nothing was sent.
            VideoSearchError: the service refused, failed or was too slow.
        """
        if (not text and not examples) or len(examples) > 1:
            raise VideoSearchError(
                f"{len(examples)} examples and the text {text!r}",
                "words, one example, or both",
                "give one of each at most",
            )
        with FileLock(f"{self._ledger}.lock"), _named():
            index_id, indexed_id = self._ready(video)
            query: dict[str, Any] = {"query_text": text} if text else {}
            if examples:
                image = ("example.jpg", encode_jpeg(examples[0].pixels, 90), "image/jpeg")
                query |= {"query_media_type": "image", "query_media_file": image}
            found = self._client.search.query(
                index_id=index_id, search_options=["visual"], filter=json.dumps({"id": [indexed_id]}), **query
            )
            items = [item for item in islice(found, count) if item.start is not None and item.end is not None]
        return tuple(sorted((float(item.start or 0), min(float(item.end or 0), video.info.seconds)) for item in items))

    def _ready(self, video: Video) -> tuple[str, str]:
        """The index and the video in it, sent and awaited if it is new; each step is remembered when it is done."""
        index_id, sent = self._read()
        digest = file_sha256(_path(video))
        entry = sent.get(digest)
        if entry is None:
            minutes = video.info.seconds / 60
            if minutes > self.minutes_left:
                raise QuotaError(
                    got=f"a video of {minutes:.1f} minutes",
                    allowed=f"{self.minutes_left:.1f} of {self._quota:.0f} minutes are left",
                    action="search locally, send a shorter part, or raise video.twelvelabs_minutes after buying more",
                    minutes_left=self.minutes_left,
                )
            entry = Sent(minutes)
        keep = self._keeper(digest)
        if not index_id:
            index_id = str(
                self._client.indexes.create(
                    index_name=_INDEX_NAME,
                    models=[{"model_name": MODEL, "model_options": ["visual"]}],
                ).id
            )
        keep(index_id, entry)
        if not entry.asset_id:
            with _path(video).open("rb") as file:
                asset = self._client.assets.create(method="direct", file=(_path(video).name, file))
            entry = replace(entry, asset_id=str(asset.id))
            keep(index_id, entry)
        if not entry.indexed_id:
            asset_id = entry.asset_id
            self._await("the upload", lambda: self._client.assets.retrieve(asset_id).status)
            made = self._client.indexes.indexed_assets.create(index_id, asset_id=asset_id)
            entry = replace(entry, indexed_id=str(made.id))
            keep(index_id, entry)
        if not entry.ready:
            one = entry.indexed_id
            self._await("indexing", lambda: self._client.indexes.indexed_assets.retrieve(index_id, one).status)
            keep(index_id, replace(entry, ready=True))
        return index_id, entry.indexed_id

    def _await(self, what: str, status: Callable[[], Any]) -> None:
        end = time.monotonic() + self._wait
        while (now := status()) != "ready":
            if now == "failed":
                raise VideoSearchError(f"{what} failed at TwelveLabs", "a video it can read", "convert it to H.264 MP4")
            if time.monotonic() > end:
                raise VideoSearchError(
                    f"{what} not done after {self._wait:.0f} s", "ready", "search again later; it goes on from here"
                )
            time.sleep(self._poll)

    def _read(self) -> tuple[str, dict[str, Sent]]:
        if not self._ledger.exists():
            return "", {}
        try:
            held = json.loads(self._ledger.read_text())
            return held["index_id"], {key: Sent(**value) for key, value in held["videos"].items()}
        except (ValueError, KeyError, TypeError) as error:
            raise VideoSearchError(
                got=f"{self._ledger.name}: {type(error).__name__}: {error}",
                allowed="the ledger as it was written",
                action="restore it; without it the minutes that are used up are not known",
            ) from error

    def _keeper(self, digest: str) -> Callable[[str, Sent], None]:
        def keep(index_id: str, entry: Sent) -> None:
            _, sent = self._read()
            videos = {key: asdict(value) for key, value in (sent | {digest: entry}).items()}
            atomic_write_json(self._ledger, {"index_id": index_id, "videos": videos})

        return keep


def _path(video: Video) -> Path:
    if not isinstance(video.data, Path) or video.data.stat().st_size > MAX_BYTES:
        raise VideoSearchError(
            got=f"{video.name}, which is no file of at most {MAX_BYTES // 10**6} MB",
            allowed="what a direct upload takes",
            action="scale it first, e.g.: ffmpeg -i INPUT -vf scale=-2:480 -an OUTPUT.mp4",
        )
    return video.data


@contextmanager
def _named() -> Iterator[None]:
    """Whatever the SDK or the network raises becomes a named error."""
    import httpx
    from twelvelabs.core.api_error import ApiError

    try:
        yield
    except ApiError as error:
        raise VideoSearchError(
            got=f"status {error.status_code} from TwelveLabs: {str(error.body)[:300]}",
            allowed="an answer of its API v1.3",
            action="check the key and the account, then search again; what was done is remembered",
            status=error.status_code,
        ) from error
    except httpx.HTTPError as error:
        raise VideoSearchError(
            got=f"{type(error).__name__}: {error}",
            allowed="TwelveLabs within reach",
            action="check the network, then search again; what was done is remembered",
        ) from error
