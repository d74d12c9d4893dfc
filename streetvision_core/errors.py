"""One exception tree: each leaf says what was got, what is allowed and what to do next."""

from __future__ import annotations

from typing import Any


class StreetVisionError(Exception):
    """The root of every error this package raises on purpose.

    Args:
        got: what was met.
        allowed: what would have been right.
        action: what the reader can do now.
        data: machine-readable details, kept on the exception as `data`.
    """

    def __init__(self, got: str, allowed: str, action: str, **data: Any) -> None:
        super().__init__(f"got {got}; allowed: {allowed}; do: {action}")
        self.got = got
        self.allowed = allowed
        self.action = action
        self.data = data

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form for `--json` output and HTTP answers."""
        return {"error": type(self).__name__, "got": self.got, "allowed": self.allowed, "do": self.action}


def install_command(*extras: str) -> str:
    """What installs extras, or the default set, in whatever environment runs: never pip's own resolution.

    Packages ask for `opencv-python`, which pip would write over the headless build (`ops/install.py`).
    """
    return " ".join(("streetvision install", *extras))


class SettingsError(StreetVisionError):
    """An unknown profile, an unknown key or a value outside its range."""


class WorkspaceError(StreetVisionError):
    """A folder is no workspace, cannot be written, or belongs to a later StreetVision."""


class MissingExtraError(StreetVisionError):
    """A feature needs an optional dependency that is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(
            got=f"no package {package!r}",
            allowed=f"the extra {extra!r} installed",
            action=f"run: {install_command(extra)}",
            package=package,
            extra=extra,
        )


class ImageError(StreetVisionError):
    """An image was refused."""


class ImageTooLargeError(ImageError):
    """Too many bytes, pixels or frames."""


class DecodeTimeoutError(ImageTooLargeError):
    """A picture that is small and takes too long to decode."""


class ImageFormatError(ImageError):
    """Not one of the formats we decode."""


class ImageBrokenError(ImageError):
    """Empty, truncated or otherwise unreadable."""


class NoImagesError(ImageError):
    """A folder holds no image at all."""


class VideoError(StreetVisionError):
    """A video was refused."""


class VideoTooLargeError(VideoError):
    """Too many bytes, pixels, frames or seconds."""


class VideoFormatError(VideoError):
    """Not a container or codec we read, or no video stream in it."""


class VideoBrokenError(VideoError):
    """Empty, truncated or otherwise undecodable."""


class InputError(ImageError, VideoError):
    """A path cannot be read, whatever it would hold; so it is an `ImageError` and a `VideoError` at once."""


class FileMissingError(InputError):
    """There is no such file."""


class FileUnreadableError(InputError):
    """The system does not let the file be read, or fails while it is."""


class NotAFileError(InputError):
    """A folder, a pipe, a socket or a device."""


class PathError(InputError):
    """A path that no file system takes: too long, or links in a circle."""


class VideoSearchError(VideoError):
    """A query the index cannot answer, an index of another make, or a search provider that failed."""


class QuotaError(VideoSearchError):
    """A provider's paid or free minutes are used up."""


class DataError(StreetVisionError):
    """A data set, label or group is not as it should be."""


class LeakError(DataError):
    """A group, or a near-duplicate, stands in two splits."""


class ModelError(StreetVisionError):
    """Weights or an adapter are not usable."""


class ManifestError(ModelError):
    """A file is missing or its sha256 differs from the manifest."""


class DetectorClassesError(ModelError):
    """A detector knows no class of road work, so its boxes must not count."""


class GatedModelError(ModelError):
    """The owner of the weights has not given this account access."""


class HubUnreachableError(ModelError):
    """The hub does not answer; what was downloaded so far stays."""


class PreprocessMismatchError(ModelError):
    """Features, head or calibrators were made with another backbone or preprocessing version."""


class VlmError(ModelError):
    """The image-text model failed; the cascade goes on without stage 3."""


class VlmServerError(VlmError):
    """The server of the image-text model is down, slow or answers oddly; `data["down"]` tells which."""


class VlmAnswerError(VlmError):
    """The model said neither yes nor no."""


class CalibrationError(StreetVisionError):
    """A calibrator or an exit band cannot be made from this data."""


class CalibrationMismatchError(CalibrationError):
    """A calibration meets other detectors, or another world, than it was made with."""


class RegistryError(StreetVisionError):
    """A version, alias or promotion is not as it should be."""


class QueryLogError(StreetVisionError):
    """The query log cannot be read or written."""


class LabelStoreError(StreetVisionError):
    """The label store is damaged, locked, of a newer version, or a decision cannot be recorded."""


class BudgetError(StreetVisionError):
    """A paid call could pass its cap, and was not made."""


class WorkbenchError(StreetVisionError):
    """FiftyOne or its database cannot run; the loop goes on without it."""


class ServingError(StreetVisionError):
    """The server cannot answer this request."""


class RequestError(ServingError):
    """A request is not of the form the API describes."""


class RequestTimeoutError(RequestError):
    """A request's body did not arrive in time."""


class OverloadedError(ServingError):
    """A queue is full; `data["retry_after_seconds"]` says when to come again."""


class NotReadyError(ServingError):
    """No model has answered its warm-up frame yet, or the server is shutting down."""


class DeadlineError(ServingError):
    """The answer would come after the caller's deadline."""


class EngineError(ServingError):
    """The model failed on a frame, or gave no usable answer."""


class AccessError(ServingError):
    """A request without a valid API key."""


class HostError(ServingError):
    """A request under a name that is not ours."""


class CrossSiteError(ServingError):
    """A request that a foreign web page lets a browser send."""


class RateLimitError(OverloadedError):
    """A key has sent more than its share; `data["retry_after_seconds"]` says when to come again."""


class KeyFileError(ServingError):
    """The file of API keys, or a change of it, is not as it should be."""


class ModelServerError(ServingError):
    """A model server cannot be reached, or its answer makes no sense."""


class QueryRefusedError(ServingError):
    """An SN72 query is refused; `data["status"]` and `data["reason"]` say how. The caller learns the status only."""


class ChainError(StreetVisionError):
    """A hotkey file, a metagraph snapshot or the chain itself is not usable."""


class LoopError(StreetVisionError):
    """The daily or weekly loop cannot go on."""


class LoopBusyError(LoopError):
    """Another loop is running."""


class ParameterError(LoopError):
    """A notebook parameter is unknown, missing, or the notebook has no parameters cell."""


class StepFailedError(LoopError):
    """A notebook step failed, or ran past its time limit."""


class LoopStoppedError(LoopError):
    """A signal (Ctrl-C, SIGTERM) asked the loop to stop; its state is saved."""


class ResultError(LoopError):
    """A notebook's result, or a report's story, is not plain data of the expected form."""


class StorageError(StreetVisionError):
    """The disk is full or a file cannot be written."""


class NoSpaceError(StorageError):
    """The disk is too small for what is to be written; nothing was."""
