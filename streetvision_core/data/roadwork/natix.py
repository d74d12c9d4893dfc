"""NATIX' set: Parquet shards from a folder or from the hub, read row by row.

Columns as FACTS of the project have them: image, id, gps, city_name, scene_description, video_info.*,
scene_level_tags.*, label; `image` holds the encoded bytes. 12.9 GB, so no shard is ever read whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from streetvision_core.data.roadwork.rows import SourceRow, validators_rule
from streetvision_core.errors import DataError, HubUnreachableError, MissingExtraError

REPOSITORY: Final = "natix-network-org/roadwork"
LICENCE: Final = "unknown (ROADWork, which it resembles, is ODC-By 1.0)"
_WANTED: Final = ("id", "gps", "city_name", "scene_description", "video_info", "scene_level_tags", "label")
_BATCH: Final = 32


@dataclass(frozen=True, slots=True)
class NatixSource:
    """Rows of Parquet shards, in order.

    Attributes:
        shards: files, or paths that are made while they are asked for (`hub_shards`).
        origin: what to call the source.
        as_validators: keep only rows that a validator may draw (`rows.validators_rule`).
    """

    shards: Iterable[Path]
    origin: str = "natix"
    as_validators: bool = False

    def __iter__(self) -> Iterator[tuple[SourceRow, bytes]]:
        """Each row with its encoded image; nothing is decoded.

        Raises:
            DataError: a shard is no Parquet file, or lacks `image` or `label`.
        """
        for shard in self.shards:
            for fields, data in _read(shard):
                row = SourceRow.from_fields(fields)
                if not self.as_validators or validators_rule(row):
                    yield row, data


def local_shards(folder: Path, split: str = "train") -> list[Path]:
    """The shards of a split in a folder, sorted.

    Raises:
        DataError: there is none.
    """
    found = sorted(folder.rglob(f"{split}*.parquet"))
    if not found:
        raise DataError(
            got=f"no {split}*.parquet in {folder}",
            allowed="the Parquet shards of the set",
            action=f"run: hf download {REPOSITORY} --repo-type dataset --local-dir {folder}",
        )
    return found


def hub_shards(
    folder: Path,
    split: str = "train",
    *,
    repository: str = REPOSITORY,
    revision: str | None = None,
    keep: bool = True,
    endpoint: str | None = None,
) -> Iterator[Path]:
    """Shards from the hub, each downloaded when it is asked for; those in the folder are not downloaded again.

    Args:
        folder: where they are kept.
        split: `train` or `test`.
        repository: of the data set.
        revision: the commit; None takes the newest, of which all shards then are.
        keep: whether a shard stays after it was read.
        endpoint: another hub.

    Raises:
        HubUnreachableError: no answer; what is there stays.
        MissingExtraError: huggingface_hub is not installed.
    """
    try:
        import huggingface_hub as hub
        from huggingface_hub import errors
    except ImportError as error:
        raise MissingExtraError("huggingface_hub", "gpu") from error
    try:
        info = hub.HfApi(endpoint=endpoint).dataset_info(repository, revision=revision, timeout=20)
        names = sorted(s.rfilename for s in info.siblings or () if _is_shard(s.rfilename, split))
        for name in names:
            path = Path(
                hub.hf_hub_download(
                    repository, name, repo_type="dataset", revision=info.sha, local_dir=folder, endpoint=endpoint
                )
            )
            yield path
            if not keep:
                path.unlink(missing_ok=True)
    except (errors.HfHubHTTPError, errors.HTTPError, errors.LocalEntryNotFoundError) as error:
        raise HubUnreachableError(
            got=f"{type(error).__name__} while asking for {repository}",
            allowed="a hub that answers",
            action="mend the network, run hf auth login if the set asks for it, and run again: shards that are here "
            "are not downloaded again",
            repository=repository,
        ) from error


def _is_shard(name: str, split: str) -> bool:
    return name.endswith(".parquet") and Path(name).name.startswith(split)


def _read(shard: Path) -> Iterator[tuple[dict[str, Any], bytes]]:
    from pyarrow import ArrowInvalid
    from pyarrow.parquet import ParquetFile

    try:
        file = ParquetFile(shard)
        there = [field.name for field in file.schema_arrow]
        if missing := {"image", "label"} - set(there):
            raise _wrong(shard, f"no column {', '.join(sorted(missing))}")
        columns = [name for name in there if name == "image" or name.split(".")[0] in _WANTED]
        for batch in file.iter_batches(batch_size=_BATCH, columns=columns):
            for fields in batch.to_pylist():
                yield fields, _bytes(fields.pop("image"), shard)
    except (ArrowInvalid, OSError) as error:
        raise _wrong(shard, str(error).splitlines()[0]) from error


def _bytes(image: Any, shard: Path) -> bytes:
    data = image.get("bytes") if isinstance(image, dict) else image
    if not isinstance(data, bytes):
        raise _wrong(shard, f"an image of type {type(data).__name__}")
    return data


def _wrong(shard: Path, got: str) -> DataError:
    return DataError(
        got=f"{shard.name}: {got}",
        allowed="a Parquet file with the columns image (encoded bytes) and label",
        action=f"download {shard.name} again",
        path=str(shard),
    )
