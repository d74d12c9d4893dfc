"""Settings: a profile's YAML under the workspace's `streetvision.yaml` under `SV_…` variables, checked to the last key.

Example:
    >>> load_settings("embedded").models.backbone
    'efficientnet-lite2'
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_serializer
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings.exceptions import SettingsError as SourceError

from streetvision_core.errors import SettingsError
from streetvision_core.workspace import FILE, find_workspace, read_workspace_file

ENV_PREFIX = "SV_"
SECRETS = frozenset({"api_key", "notify_urls", "cache_url"})
"""Settings whose values nobody is shown."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _home() -> Path:
    return find_workspace().home


class Paths(_Section):
    """Where the workspace lies; relative paths count from `home`."""

    home: Path = Field(default_factory=_home)
    data: Path = Path("data")
    reports: Path = Path("reports")
    streets: Path = Path("../shared/streets")

    def resolve(self, name: Literal["data", "reports", "streets"]) -> Path:
        """The absolute form of one of the folders."""
        folder: Path = getattr(self, name)
        return (self.home / folder).resolve()


class Decode(_Section):
    """Limits on what is decoded."""

    max_bytes: int = Field(20 * 2**20, gt=0)
    max_pixels: int = Field(50_000_000, gt=0)
    max_seconds: float = Field(5.0, gt=0, description="in the server; what takes longer is ended")
    animation: Literal["first", "refuse"] = Field(
        "first", description="of an animation or of several pages the first picture is answered, or none"
    )


class VideoSettings(_Section):
    """Which way a video is answered, and the limits on what is decoded."""

    max_bytes: int = Field(4 * 2**30, gt=0)
    max_seconds: float = Field(4 * 3600.0, gt=0)
    max_pixels: int = Field(4096 * 2304, gt=0, description="of one frame")
    max_frames: int = Field(1_000_000, gt=0, description="decoded, of which few are looked at")
    decode_seconds: float = Field(60.0, gt=0, description="in the server, spent decoding one video")
    direct_seconds: float = Field(10.0, gt=0, description="up to here every frame of a dense grid is answered")
    direct_step_seconds: float = Field(0.5, gt=0)
    keyframes_seconds: float = Field(60.0, gt=0, description="up to here key frames are answered; longer is searched")
    keyframes_step_seconds: float = Field(1.0, gt=0, description="the longest between two key frames")
    scene_score: float = Field(0.3, gt=0, le=1, description="FFmpeg's scene score above which a frame is a key frame")
    index_step_seconds: float = Field(2.0, gt=0, description="between two frames of the index that is searched")
    best_clips: int = Field(6, ge=1, description="stretches of a long video that are answered")
    clip_seconds: float = Field(10.0, gt=0, description="length of such a stretch")
    vlm_frames: int = Field(8, ge=1, description="of a stretch, shown to the image-text model where there is one")
    smooth_seconds: float = Field(1.0, gt=0, description="deviation of the Gaussian that smooths answers over time")
    twelvelabs_minutes: float = Field(600.0, ge=0, description="minutes of indexing the account has, all in all")


class Models(_Section):
    """One adapter name per role; None where the profile has none."""

    backbone: str
    preprocessing: str
    detectors: tuple[str, ...] = ()
    vlm: str | None = None
    video_vlm: str | None = None
    image_text: str | None = Field(None, description="SigLIP or CLIP folder; lets videos be searched by words")
    ocr: str | None = None
    segmenter: str | None = None
    generator: str | None = None
    folder: Path | None = Field(None, description="of the big models; None: hub in the data folder")
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="of the big models; auto: a GPU where there is one"
    )
    precision: Literal["auto", "fp32", "fp16", "bf16"] = Field(
        "auto", description="of the big models; auto: bf16 on a GPU, fp32 on a CPU"
    )
    threads: int = Field(2, ge=1, description="intra-op threads of each ONNX Runtime session")


class VlmSettings(_Section):
    """Stage 3: where the image-text model runs, and what counts as its answer."""

    backend: Literal["transformers", "server"] = Field("transformers", description="in this process, or behind `url`")
    url: str = Field("http://127.0.0.1:8000/v1", description="of a server that speaks the OpenAI chat API")
    api_key: SecretStr | None = None
    timeout_seconds: float = Field(6.0, gt=0, le=60, description="longest one question may take")
    retry_after_seconds: float = Field(30.0, ge=0, description="how long a server that failed is left alone")
    parallel: int = Field(4, ge=1, description="questions under way at the server at once")
    max_side_pixels: int = Field(1024, ge=56, description="larger images are made smaller")
    min_mass: float = Field(0.05, gt=0, lt=1, description="least P(yes) + P(no) that counts as an answer")
    four_bit: bool = Field(False, description="in this process: the language model in 4 bit (bitsandbytes nf4)")
    memory_gib: float | None = Field(
        None, gt=0, description="in this process, for all such models together; None: what is free"
    )

    @field_serializer("url", when_used="json")
    def _without_password(self, url: str) -> str:
        """What people and files are shown; a process of our own gets all of it (`Settings.to_child_json`)."""
        return re.sub(r"//[^/@]*@", "//**********@", url)


class CascadeSettings(_Section):
    """Exit policy and its guarantee: error among exits <= alpha with probability >= 1 - delta."""

    policy: Literal["certified", "plan"] = "certified"
    alpha: float = Field(0.05, gt=0, lt=0.5)
    delta: float = Field(0.05, gt=0, lt=0.5)
    ocr_min_width_pixels: int = Field(640, gt=0, description="narrower frames hold no readable text")


class ScoringSettings(_Section):
    """What the decision threshold is chosen for; it is then moved to 0.5."""

    rule: Literal["mcc", "sn72", "f1", "cost"] = "sn72"
    prevalence: float = Field(0.5, gt=0, lt=1, description="share of road work in the stream; validators send half")
    miss_cost: float = Field(1.0, gt=0, description="rule `cost`: a missed road work, in false positives")
    new_camera_logits: float = Field(
        1.4, ge=0, le=6, description="added to whole photos' threshold for cameras CALIBRATE has not; 0: it has yours"
    )


class TrainingSettings(_Section):
    """The frozen-backbone head."""

    learning_rates: tuple[float, ...] = (3e-4, 1e-3, 3e-3)
    weight_decays: tuple[float, ...] = (1e-3, 1e-2, 1e-1)
    epochs: int = Field(60, ge=1)
    real_share: float = Field(0.7, gt=0, le=1, description="of the weight, where pseudo-labels take part")


class MiningSettings(_Section):
    """How many frames a day are put before a reviewer."""

    budget: int = Field(120, ge=1)
    near_duplicate_cosine: float = Field(0.985, gt=0, le=1)
    random_share: float = Field(0.1, ge=0, le=1, description="share of the budget drawn without looking at scores")
    group_cap: int = Field(10, ge=1, description="most frames of one group a day")
    diversity: float = Field(0.5, ge=0, le=1, description="0 takes the hardest only, 1 the most spread out only")
    workbench: Literal["auto", "off"] = "auto"


class AnnotateSettings(_Section):
    """Labels without a person."""

    precision: float = Field(0.97, gt=0.5, lt=1, description="of labels taken without a person, certified per side")


class BalanceSettings(_Section):
    """How much of the stream goes into the next training set."""

    day_cap: int = Field(400, ge=1, description="most rows of one day")
    group_cap: int = Field(20, ge=1, description="most rows of one group, all days together")
    stream_share: float = Field(0.5, gt=0, lt=1, description="largest share of the training weight, against base data")
    hard_weight: float = Field(2.0, ge=1, description="of a row that the champion got wrong")


class LearningSettings(_Section):
    """What is learned from besides the stream, and how much of the stream measures instead."""

    photos: tuple[Path, ...] = Field((), description="folders with roadwork/ and none/, or with a labels.csv")
    measured_share: float = Field(0.3, ge=0, le=1, description="of the groups the random probe drew: CALIBRATE, TEST")


class GateSettings(_Section):
    """The pre-registered promotion test."""

    alpha: float = Field(0.05, gt=0, lt=0.5)
    margin: float = Field(0.05, ge=0, lt=1, description="largest tolerated loss of accuracy per origin")
    min_origin_size: int = Field(30, ge=1, description="smaller origins are pooled")
    promotion: Literal["auto", "ask"] = Field(
        "auto", description="ask: what passed waits for `streetvision versions approve`"
    )
    erosion_margin: float = Field(
        0.05, ge=0, lt=1, description="largest tolerated loss on photographs against the first version, all in all"
    )
    max_age_days: int = Field(90, ge=1, description="an older version should be replaced; it speaks 20 days before")


class RetentionSettings(_Section):
    """How long and how much of what callers send is kept; the night deletes what is beyond."""

    keep_queries: bool = Field(True, description="False: no query and no photograph of a caller is written at all")
    keep_days: int = Field(90, ge=1, description="older queries go, with their photographs")
    keep_labelled: bool = Field(True, description="photographs that a person labelled stay until they are forgotten")
    max_gib: float = Field(50.0, gt=0, description="of photographs; beyond it nothing is written, and the oldest go")
    min_free_gib: float = Field(1.0, ge=0, description="with less free space nothing is written")
    report_days: int = Field(90, ge=1, description="older executed notebooks of the reports go; the pages stay")


class ChallengeSettings(_Section):
    """The fixed set that nothing ever trains on, and how often it may be looked at."""

    folder: Path | None = Field(None, description="photos in roadwork/ and none/; None: rendered scenes, starter TEST")
    images: int = Field(1000, ge=10)
    step: float = Field(0.02, gt=0, lt=1, description="a challenger is told better only by this much accuracy")
    tolerance: float = Field(0.25, gt=0, le=1, description="warned beyond this error bound, see scoring.adaptive")


class LoopSettings(_Section):
    """The daily loop."""

    queries_per_day: int = Field(240, ge=1)
    synthetic_per_day: int = Field(80, ge=0)
    heldout_frames: int = Field(1000, ge=1, description="rendered; as many come with the starter pack")
    int8_frames: int = Field(16, ge=2, description="calibrate the int8 copies, and as many others judge them")
    step_timeout_seconds: int = Field(900, ge=1)
    retries: int = Field(1, ge=0)
    notify_urls: tuple[SecretStr, ...] = Field((), description="apprise URLs; they hold tokens")


class ServingSettings(_Section):
    """The server: every queue has an end, every wait a limit."""

    max_body_bytes: int = Field(64 * 2**20, gt=0, description="one request; each image in it: decode.max_bytes")
    max_bytes_in_flight: int = Field(256 * 2**20, gt=0, description="bodies of all requests together")
    max_images: int = Field(16, ge=1, description="in one request")
    queue_images: int = Field(64, ge=1, description="admitted and not yet answered; one more is refused with 429")
    batch_images: int = Field(8, ge=1, description="most that go through the model together")
    batch_wait_seconds: float = Field(0.005, ge=0, le=1, description="longest wait for images on their way")
    frame_budget_pixels: int = Field(48_000_000, gt=0, description="decoding pauses while more than this is held")
    deadline_seconds: float = Field(9.0, gt=0, le=60, description="longest a caller waits; it may ask for less")
    video_seconds: float = Field(120.0, gt=0, description="longest the caller of a video waits")
    body_seconds: float = Field(10.0, gt=0, description="longest a body may take to arrive")
    body_bytes_per_second: int = Field(16 * 1024, gt=0, description="slower bodies are refused, after two seconds")
    head_seconds: float = Field(10.0, gt=0, description="longest a connection may be silent, or take to send a head")
    max_connections: int = Field(1024, ge=1, description="one more closes the one that has been idle longest")
    connections_per_address: int = Field(256, ge=1, description="of max_connections, for one caller's address")
    cache_entries: int = Field(10_000, ge=0, description="verdicts kept; 0 keeps none")
    cache_seconds: float = Field(3600.0, gt=0)
    cache_url: SecretStr | None = Field(
        None, description="redis://host:port/db, shared by gateways; it may hold a password; None: in the process"
    )
    keys: Literal["auto", "required", "off"] = Field("auto", description="auto: needed on addresses others can reach")
    hosts: tuple[str, ...] = Field((), description="names the server is asked under, beside addresses and its own name")
    behind_proxy: bool = Field(False, description="all requests come through a proxy, which says from where")
    key_requests_per_second: float = Field(20.0, gt=0, description="of each API key that has no rate of its own")
    key_burst: int = Field(40, ge=1, description="requests of one key at once")
    log_queue_images: int = Field(512, ge=1, description="answers waiting to be logged; more are dropped and counted")
    log_queue_bytes: int = Field(128 * 2**20, gt=0)
    model_processes: int = Field(1, ge=1, le=64, description="model servers that `serve` starts when none is named")
    look_seconds: float = Field(0.5, gt=0, description="how often the gateway asks a model server how it is")
    attempt_seconds: float = Field(4.0, gt=0, description="then another model server is tried, if there is one")
    stall_seconds: float = Field(30.0, gt=0, description="a batch that runs longer hangs; its model server is ended")
    reload_seconds: float = Field(3.0, gt=0, description="how often the registry is asked for a new champion")
    drain_seconds: float = Field(20.0, gt=0, description="longest a shutdown waits for answers and the log")


class Sn72Settings(_Section):
    """The subnet's wire protocol; `docs/sn72.md` says why each limit is what it is."""

    hotkey: str | None = Field(None, description="ss58 address queries must be signed for; None: the protocol is off")
    network: Literal["test", "local", "finney"] = "test"
    netuid: int = Field(323, ge=0, description="323 on the test network, 72 on finney")
    folder: Path = Field(Path("chain"), description="snapshot, nonces and throw-away keys; relative to paths.data")
    snapshot_max_age_seconds: float | None = Field(3 * 3600.0, gt=0, description="None: a static file, never too old")
    expose_http: bool = Field(False, description="answer the other paths to everybody, not only to this machine")
    require_permit: bool = Field(True, description="only validators are answered, not every registered hotkey")
    min_stake: float = Field(0.0, ge=0, description="least stake of a caller, in the subnet's alpha")
    allow_hotkeys: tuple[str, ...] = Field((), description="answered whatever the snapshot says; testnet, local use")
    queries_per_minute: float = Field(120.0, gt=0, description="per hotkey")
    burst_queries: int = Field(60, ge=1, description="per hotkey, at once")
    nonce_past_seconds: float = Field(13.0, gt=0, description="oldest signature taken: public 4 s slack + 9 s timeout")
    nonce_future_seconds: float = Field(4.0, ge=0, description="how far a caller's clock may be ahead of ours")
    max_nonces: int = Field(100_000, ge=1, description="remembered signatures; a full table refuses, never forgets")
    max_timeout_seconds: float = Field(60.0, gt=0, description="largest timeout a caller may state")
    deadline_seconds: float = Field(9.0, gt=0, le=9, description="we answer within this or the caller's timeout")
    margin_seconds: float = Field(0.4, ge=0, lt=5, description="the answer leaves this long before the deadline")
    max_body_bytes: int = Field(28 * 2**20, gt=0, description="JSON with a base64 image of decode.max_bytes")
    body_hash_fields: tuple[str, ...] = Field(("image",), description="fields a signed body hash may cover")
    body_hash_required: bool = Field(False, description="refuse signatures that cover no image, as public ones do")

    @property
    def hides_http(self) -> bool:
        """Whether callers from elsewhere are answered on the subnet's paths only."""
        return self.hotkey is not None and not self.expose_http


class Settings(BaseSettings):
    """Everything a profile fixes; environment over the workspace's file over profile over defaults."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True, env_prefix=ENV_PREFIX, env_nested_delimiter="__")

    profile: str
    seed: int = 0
    paths: Paths = Field(default_factory=Paths)
    decode: Decode = Decode()
    video: VideoSettings = VideoSettings()
    models: Models
    vlm: VlmSettings = VlmSettings()
    cascade: CascadeSettings = CascadeSettings()
    scoring: ScoringSettings = ScoringSettings()
    training: TrainingSettings = TrainingSettings()
    mining: MiningSettings = MiningSettings()
    annotate: AnnotateSettings = AnnotateSettings()
    balance: BalanceSettings = BalanceSettings()
    learning: LearningSettings = LearningSettings()
    gate: GateSettings = GateSettings()
    challenge: ChallengeSettings = ChallengeSettings()
    loop: LoopSettings = LoopSettings()
    serving: ServingSettings = ServingSettings()
    retention: RetentionSettings = RetentionSettings()
    sn72: Sn72Settings = Sn72Settings()

    def to_child_json(self) -> str:
        """Everything as one line of JSON with its secrets, for a process of our own; never for people or logs."""
        return json.dumps(self.model_dump(), default=_revealed)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment wins over file and profile, which arrive as init values."""
        return env_settings, init_settings


def _revealed(value: Any) -> Any:
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)


def profile_names() -> list[str]:
    """The profiles that come with the package, sorted."""
    folder = resources.files("streetvision_core") / "profiles"
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def load_settings(profile: str | None = None) -> Settings:
    """Loads a profile and lays the workspace's `streetvision.yaml` and the `SV_…` environment over it.

    Args:
        profile: a profile's name; None takes `SV_PROFILE`, else the file's `profile`, else `embedded`.
            `SV_CASCADE__ALPHA=0.02` sets `cascade.alpha`; lists are JSON (`SV_MODELS__DETECTORS='["dense-lite2"]'`).

    Raises:
        SettingsError: an unknown profile or key, or a value outside its range.
        WorkspaceError: the workspace's file cannot be read, or there is no workspace.
    """
    home = find_workspace().home
    written = read_workspace_file(home)
    name = profile or os.environ.get(f"{ENV_PREFIX}PROFILE") or written.get("profile") or "embedded"
    if name not in profile_names():
        raise SettingsError(
            got=f"profile {name!r}",
            allowed=", ".join(profile_names()),
            action=f"set --profile, SV_PROFILE or `profile` in {FILE} to one of them",
            profile=name,
        )
    _refuse_unknown_variables()
    _refuse_home(home, written)
    values = _laid_over(profile_values(name), written) | {"profile": name}
    try:
        return Settings(**_laid_over(values, {"paths": {"home": home}}))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise SettingsError(
            got=f"{where} = {_shown(first['loc'], first.get('input'))} ({first['msg']})",
            allowed=_allowed(first["loc"]),
            action=f"correct {_source_of(first['loc'], home, written, name)}",
            where=where,
        ) from error
    except SourceError as error:
        raise SettingsError(str(error), "JSON for lists and sections", "correct the SV_ variable it names") from error


def profile_values(name: str) -> dict[str, Any]:
    """What a profile's file says."""
    text = (resources.files("streetvision_core") / "profiles" / f"{name}.yaml").read_text(encoding="utf-8")
    return dict(yaml.safe_load(text))


def has_setting(values: Any, loc: Sequence[str]) -> bool:
    """Whether nested values hold a setting."""
    for part in loc:
        if not isinstance(values, dict) or part not in values:
            return False
        values = values[part]
    return True


def variable_of(loc: Sequence[str]) -> str | None:
    """The variable that is set now and holds a setting, by itself or with its section."""
    set_now = {variable.upper() for variable in os.environ}
    for length in range(len(loc), 0, -1):
        if (variable := f"{ENV_PREFIX}{'__'.join(loc[:length]).upper()}") in set_now:
            whole = length == len(loc)
            with suppress(ValueError):
                if whole or has_setting(json.loads(os.environ.get(variable, "")), loc[length:]):
                    return variable
    return None


def _laid_over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """`above` wins key by key, in sections too; lists are replaced whole."""
    joined = dict(below)
    for key, value in above.items():
        under = below.get(key)
        joined[key] = _laid_over(under, value) if isinstance(under, dict) and isinstance(value, dict) else value
    return joined


def _refuse_home(home: Path, written: dict[str, Any]) -> None:
    """A workspace's file lies in the workspace; it cannot say that the workspace lies elsewhere."""
    paths = written.get("paths")
    if isinstance(paths, dict) and "home" in paths:
        raise SettingsError(
            got=f"paths.home in {home / FILE}",
            allowed="the other paths; home is the folder of this file",
            action="remove the line; --workspace or SV_PATHS__HOME name another workspace",
            where="paths.home",
        )


def _source_of(loc: tuple[int | str, ...], home: Path, written: dict[str, Any], profile: str) -> str:
    """Where a wrong value was written: the strongest source that has it."""
    parts = [str(part) for part in loc]
    if variable := variable_of(parts):
        return f"the variable {variable}"
    section = written.get(parts[0])
    in_file = parts[0] in written and (len(parts) == 1 or not isinstance(section, dict) or parts[1] in section)
    return str(home / FILE) if in_file else f"the profile {profile!r}"


def _refuse_unknown_variables() -> None:
    """pydantic-settings passes over unknown top-level variables; a typing error there must not go unseen."""
    for key in sorted(os.environ):
        if key.startswith(ENV_PREFIX):
            first = key.removeprefix(ENV_PREFIX).lower().split("__")[0]
            if first not in Settings.model_fields:
                raise SettingsError(
                    got=f"the variable {key}",
                    allowed=f"{ENV_PREFIX} and one of the keys {', '.join(Settings.model_fields)}",
                    action=f"unset {key} or correct its name",
                    where=first,
                )


def _shown(where: tuple[int | str, ...], value: Any) -> str:
    """A wrong value as people may see it: secrets stay hidden."""
    names = {str(part) for part in where}
    return "a hidden value" if names & SECRETS else repr(value)


def _allowed(where: tuple[int | str, ...]) -> str:
    model: type[BaseModel] = Settings
    for part in where[:-1]:
        child = model.model_fields[str(part)].annotation if str(part) in model.model_fields else None
        if not (isinstance(child, type) and issubclass(child, BaseModel)):
            break
        model = child
    leaf = model.model_fields.get(str(where[-1]))
    if leaf is None:
        return f"one of the keys {', '.join(model.model_fields)}"
    limits = ", ".join(str(limit) for limit in leaf.metadata)
    return f"{leaf.annotation} {limits}".strip()
