"""`streetvision models`: the big models, what they cost to fetch and whether they are whole."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streetvision_core.cli._learning import Json, Profile
from streetvision_core.cli._output import NAMED_ERROR, OK, emit, say, stdout

if TYPE_CHECKING:
    from streetvision_core.models.hub.pull import Plan

Ids = Annotated[list[str] | None, typer.Argument(help="Ids as `list` shows them; none: all of the profile.")]

_WIDE = 110
"""Columns from which the table has room for commits."""

models = typer.Typer(
    help="Lists, fetches and checks the big models of the profiles light and platinum.",
    epilog="Examples:  streetvision models list --profile light   ·   streetvision models pull --profile light --yes",
    no_args_is_help=True,
)


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.add_typer(models, name="models")


@models.command("list", epilog="Example:  streetvision models list --profile platinum --json")
def list_models(profile: Profile = "", as_json: Json = False) -> None:
    """What each model is, weighs and may be used for; with --profile only those it needs."""
    from streetvision_core.models import hub
    from streetvision_core.settings import load_settings

    settings = load_settings(profile or None)
    shown = hub.wanted(settings) if profile else hub.entries()
    rows = [{**one.to_dict(), "here": (hub.folder_of(one.id, settings) / "manifest.json").is_file()} for one in shown]
    if as_json:
        emit({"folder": str(hub.root(settings)), "models": rows})
        return
    if not rows:
        say(f"the profile {settings.profile} needs none: its models come with packages and with this repository")
        return
    stdout.print(_table(rows))
    say("GB: the weights at the precision they run in. Classes, parameters, sources, commits: --json")
    say(f"folder: {hub.root(settings)}")


@models.command("pull", epilog="Example:  streetvision models pull timm/vit_base_patch16_dinov3.lvd1689m")
def pull_models(
    ids: Ids = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    plan_only: Annotated[bool, typer.Option("--plan", help="Show what would be downloaded, and stop.")] = False,
    profile: Profile = "",
    as_json: Json = False,
) -> None:
    """Shows sizes, licences and access first, asks, then downloads; a stopped download goes on.

    Each model is downloaded at one commit, checked against the hub's digests and recorded with its own.
    """
    from streetvision_core.models.hub.pull import make_plan, pull
    from streetvision_core.settings import load_settings

    settings = load_settings(profile or None)
    plan = make_plan(_chosen(ids, settings), settings)
    if as_json and plan_only:
        emit(plan.to_dict())
    else:
        _show(plan)
    if plan_only or not plan.models:
        return
    if plan.missing_bytes and not yes:
        _confirm(plan)
    done = pull(plan, settings, progress=say)
    if as_json:
        emit({"models": [one.to_dict() for one in done]})
    for one in done:
        say((one.model, "green"), f": {one.files} files, {one.bytes / 1e9:.2f} GB at {one.revision}")


@models.command("verify", epilog="Example:  streetvision models verify --profile platinum")
def verify_models(
    ids: Ids = None,
    record: Annotated[
        bool, typer.Option("--record", help="Take the files as they are now: for folders you filled yourself.")
    ] = False,
    profile: Profile = "",
    as_json: Json = False,
) -> None:
    """Takes every file's sha256 again and compares it with the manifest; pickles are refused."""
    from streetvision_core.errors import ModelError
    from streetvision_core.models import hub
    from streetvision_core.settings import load_settings

    settings = load_settings(profile or None)
    rows: list[dict[str, Any]] = []
    for one in _chosen(ids, settings):
        folder = hub.folder_of(one, settings)
        try:
            if record:
                found = hub.record(one, folder)
            else:
                hub.resolve(one, settings)
                found = hub.verify_folder(one, folder)
            rows.append({"state": "ok", **found.to_dict()})
        except ModelError as error:
            rows.append({"state": "fail", "model": one, **error.to_dict()})
    if as_json:
        emit({"models": rows})
    for row in rows:
        if row["state"] == "ok":
            size = f"{row['files']} files, {row['bytes'] / 1e9:.2f} GB, {row['revision']}"
            say(("ok", "green"), f"    {row['model']}: {size}")
        else:
            say(("fail", "red"), f"  {row['model']}: {row['got']}; {row['do']}")
    raise typer.Exit(OK if all(row["state"] == "ok" for row in rows) else NAMED_ERROR)


@models.command(
    "check-copy", epilog="Example:  streetvision models check-copy zai-org/GLM-4.6V-Flash glm-w4a16 frames/"
)
def check_copy(
    source: Annotated[str, typer.Argument(help="Id of the model in 16 or 32 bit.")],
    copy: Annotated[str, typer.Argument(help="Name of the folder of its copy in 4 or 16 bit among the models.")],
    judge: Annotated[Path, typer.Argument(help="Folder with the subfolders `roadwork` and `none`; not calibrated on.")],
    within_ms: Annotated[
        float | None, typer.Option("--within-ms", help="Slower than the original is allowed, up to this.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Timed rounds.")] = 10,
    profile: Profile = "",
    as_json: Json = False,
) -> None:
    """Whether a copy in 4 or 16 bit answers as its original and fast enough; only then can a profile load it.

    Both are held in memory at once.
    """
    from streetvision_core.compression.four_bit import check_four_bit
    from streetvision_core.data.sources import FolderSource
    from streetvision_core.models import hub
    from streetvision_core.models.torch_models import device_of, precision_of
    from streetvision_core.models.vlm.local import LocalVlm
    from streetvision_core.models.vlm.residency import Residency
    from streetvision_core.settings import load_settings

    settings = load_settings(profile or None)
    device = device_of(settings)

    def open_vlm(folder: Path) -> LocalVlm:
        precision = precision_of(settings, device)
        memory = Residency(lambda: sys.maxsize)
        return LocalVlm(folder.name, folder, memory, device=device, precision=precision)

    images = [image for image in FolderSource(judge).images() if image.label is not None]
    report = check_four_bit(
        hub.resolve(source, settings),
        hub.folder_of(copy, settings),
        [image.read() for image in images],
        [int(image.label or 0) for image in images],
        open_vlm=open_vlm,
        rounds=rounds,
        within_seconds=within_ms / 1000 if within_ms is not None else None,
    )
    if as_json:
        emit(report.to_dict())
    say(report.reason)
    raise typer.Exit(OK if report.path == hub.folder_of(copy, settings) else NAMED_ERROR)


def _chosen(ids: list[str] | None, settings: Any) -> list[str]:
    from streetvision_core.errors import SettingsError
    from streetvision_core.models import hub

    chosen = list(ids or (one.id for one in hub.wanted(settings)))
    if not chosen:
        raise SettingsError(
            got=f"no model named, and the profile {settings.profile} needs none from the hub",
            allowed="ids of `streetvision models list`, or a profile that has some",
            action="add --profile light or --profile platinum, or name a model",
        )
    return chosen


def _table(rows: list[dict[str, Any]]) -> Any:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    # a narrow terminal, or a pipe, gets no commits (--json has them) and folds ids and licences; `here` is kept whole
    wide = stdout.width >= _WIDE
    table.add_column("id", overflow="fold", ratio=5)
    table.add_column("GB", justify="right", no_wrap=True)
    table.add_column("role", no_wrap=True)
    table.add_column("licence", overflow="fold", ratio=2)
    for name in ("access", "revision", "here") if wide else ("access", "here"):
        table.add_column(name, no_wrap=True)
    for row in rows:
        access = {"none": "open", "manual": "[yellow]on request[/]"}[row["gating"]]
        revision = ["made here" if row["source"] == "trained" else row["revision"][:8]] if wide else []
        here = "[green]yes[/]" if row["here"] else "no"
        size = f"{row['weight_bytes'] / 1e9:.2f}"
        table.add_row(row["id"], size, row["role"], row["licence"], access, *revision, here)
    return table


def _show(plan: Plan) -> None:
    from rich.table import Table

    table = Table(title="Download plan", title_justify="left")
    for name in ("model", "commit", "licence", "access", "files", "GB", "still missing"):
        table.add_column(name, overflow="fold", justify="right" if name in ("files", "GB", "still missing") else "left")
    for one in plan.models:
        total, missing = (f"{n / 1e9:.2f}" for n in (sum(f.bytes for f in one.files), one.missing_bytes))
        access = one.entry.gating_note or "open"
        licence = f"{one.entry.licence} {one.entry.licence_url}".strip()
        table.add_row(one.entry.id, one.commit[:12], licence, access, str(len(one.files)), total, missing)
    if plan.models:
        stdout.print(table)
        say(f"{plan.missing_bytes / 1e9:.2f} GB to download, {plan.free_bytes / 1e9:.1f} GB free")
    for trained in plan.trained:
        say(f"{trained.id} is not downloaded but made here: {trained.made_by}")


def _confirm(plan: Plan) -> None:
    from streetvision_core.errors import SettingsError

    if not sys.stdin.isatty():
        raise SettingsError(
            got=f"{plan.missing_bytes / 1e9:.2f} GB to download and nobody to ask",
            allowed="a terminal, or --yes",
            action="read the plan above and run again with --yes",
        )
    typer.confirm("Download, under these licences?", abort=True)
