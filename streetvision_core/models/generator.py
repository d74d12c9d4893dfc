"""SDXL as the validators run it: text to image, image to image, and inpainting for twins of real photos.

Prompts, sampler settings and negative prompt are those of the subnet's own generator (natixnetwork/streetvision-subnet,
natix/validator/config.py and natix/synthetic_data_generation), because that is the test distribution. The pipelines
keep the scheduler of the checkpoint, as the subnet does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from streetvision_core.errors import MissingExtraError, ModelError
from streetvision_core.settings import Settings
from streetvision_core.types import Frame, Pixels

Task = Literal["text-to-image", "image-to-image", "inpaint"]

STEPS: Final = 25
GUIDANCE: Final = 8.0
STRENGTH: Final = 0.7
SIDE_PIXELS: Final = 1024
"""What the checkpoint draws; larger photos are shrunk to it, without keeping their shape, as the subnet does."""

_NEGATIVE_COMMON: Final = (
    "cartoon, anime, painting, drawing, artistic, stylized, illustration, sketch, unrealistic, fake, artificial, "
    "3d render, cgi, video game, fantasy, sci-fi, aerial view, bird's eye view, satellite view, drone footage, "
    "helicopter view, top-down view, security camera, cctv, surveillance camera, indoor scene, interior, portrait, "
    "face, person close-up, selfie, vibrant colors, oversaturated, neon, glowing, night vision, thermal imaging, "
    "fisheye lens, wide angle distortion"
)
NEGATIVE: Final[dict[Task, str]] = {
    "text-to-image": f"{_NEGATIVE_COMMON}, motion blur, blurry, out of focus, unfocused, soft focus, speed blur, "
    "camera shake, movement blur",
    "image-to-image": _NEGATIVE_COMMON,
    "inpaint": _NEGATIVE_COMMON,
}
ENDING: Final = {
    1: "dashcam footage, car dashboard camera view, driver's perspective, realistic road scene with construction "
    "work, roadwork signs, traffic cones, construction barriers, natural daylight, automotive photography, street "
    "level view",
    0: "dashcam footage, car dashboard camera view, driver's perspective, realistic road scene, clear road, normal "
    "traffic, natural daylight, automotive photography, street level view",
}
"""What the subnet puts after each prompt, by label."""


@dataclass(frozen=True, slots=True)
class Request:
    """One image to draw.

    Attributes:
        task: how.
        prompt: what; the ending of its label is added.
        label: 1 road work, 0 none.
        seed: of the sampler; the same request and weights give the same image on the same device.
        image: the photo to start from; None for text to image.
        mask: bool [H, W], True where inpainting may paint.
        strength: share of the noise that is put on the photo, for the two tasks that start from one.
    """

    task: Task
    prompt: str
    label: int
    seed: int
    image: Frame | None = None
    mask: npt.NDArray[np.bool_] | None = None
    strength: float = STRENGTH

    def __post_init__(self) -> None:
        photo, mask = self.image is not None, self.mask is not None
        if photo != (self.task != "text-to-image") or mask != (self.task == "inpaint"):
            raise ModelError(
                got=f"{self.task}, photo: {photo}, mask: {mask}",
                allowed="a photo for image-to-image, a photo and a mask for inpaint, neither for text-to-image",
                action="mend the request",
            )

    @property
    def full_prompt(self) -> str:
        """The prompt with its label's ending."""
        return f"{self.prompt}, {ENDING[self.label]}"


class SdxlGenerator:
    """One set of SDXL weights behind three pipelines that share them.

    Args:
        folder: a diffusers folder with `model_index.json`.
        name: as it stands in provenance.
        device: `cuda` or `cpu`; None takes a GPU where there is one.
        side: width and height of text-to-image, pixels.
        steps: sampler steps.
    """

    def __init__(
        self, folder: Path, name: str, device: str | None = None, side: int = SIDE_PIXELS, steps: int = STEPS
    ) -> None:
        if find_spec("diffusers") is None:
            raise MissingExtraError("diffusers", "synth")
        if not (folder / "model_index.json").is_file():
            raise ModelError(
                got=f"no model_index.json in {folder}",
                allowed="a folder in diffusers' layout",
                action=f"run: streetvision models pull {name}",
                folder=str(folder),
            )
        self.folder, self.name, self.side, self.steps = folder, name, side, steps
        self._device = device

    @cached_property
    def device(self) -> str:
        """Where it runs."""
        import torch

        return self._device or ("cuda" if torch.cuda.is_available() else "cpu")

    def draw(self, requests: Sequence[Request]) -> list[Pixels]:
        """Draws one image per request, one after the other: 1024-pixel batches do not fit beside other models.

        Returns:
            uint8 [H, W, 3] each; image-to-image and inpainting keep the size of the (shrunk) photo.
        """
        return [self._draw(request) for request in requests]

    def provenance(self, request: Request) -> dict[str, Any]:
        """Everything that made an image, for its file."""
        return {
            "generator": self.name,
            "task": request.task,
            "prompt": request.full_prompt,
            "negative_prompt": NEGATIVE[request.task],
            "steps": self.steps,
            "guidance": GUIDANCE,
            "strength": None if request.task == "text-to-image" else request.strength,
            "seed": request.seed,
            "source": request.image.source if request.image else None,
            "source_sha256": request.image.sha256 if request.image else None,
        }

    def _draw(self, request: Request) -> Pixels:
        import torch
        from PIL import Image

        pipeline = self._pipeline(request.task)
        shared = {
            "prompt": request.full_prompt,
            "negative_prompt": NEGATIVE[request.task],
            "num_inference_steps": self.steps,
            "guidance_scale": GUIDANCE,
            "generator": torch.Generator(self.device).manual_seed(request.seed),
            "output_type": "np",
        }
        if request.image is None:
            made = pipeline(**shared, height=self.side, width=self.side)
        else:
            photo = _shrink(Image.fromarray(request.image.pixels), self.side)
            more: dict[str, Any] = {"image": photo, "strength": request.strength}
            if request.mask is not None:
                mask = Image.fromarray((request.mask * 255).astype(np.uint8))
                more |= {"mask_image": mask.resize(photo.size), "height": photo.height, "width": photo.width}
            made = pipeline(**shared, **more)
        return np.asarray(np.clip(made.images[0] * 255.0 + 0.5, 0, 255), np.uint8)

    @cached_property
    def _loaded(self) -> Any:
        import torch
        from diffusers import StableDiffusionXLPipeline

        half = self.device == "cuda"
        variant = "fp16" if any(self.folder.glob("*/*.fp16.safetensors")) else None
        pipeline = StableDiffusionXLPipeline.from_pretrained(
            str(self.folder),
            torch_dtype=torch.float16 if half else torch.float32,
            variant=variant,
            use_safetensors=True,
            local_files_only=True,
            add_watermarker=False,
        )
        pipeline.set_progress_bar_config(disable=True)
        pipeline.vae.enable_slicing()
        pipeline.vae.enable_tiling()
        if half:
            pipeline.enable_model_cpu_offload()
        return pipeline

    def _pipeline(self, task: Task) -> Any:
        from diffusers import StableDiffusionXLImg2ImgPipeline, StableDiffusionXLInpaintPipeline

        if task == "text-to-image":
            return self._loaded
        kind = StableDiffusionXLImg2ImgPipeline if task == "image-to-image" else StableDiffusionXLInpaintPipeline
        pipeline = kind.from_pipe(self._loaded)
        pipeline.set_progress_bar_config(disable=True)
        return pipeline


def from_settings(name: str, settings: Settings) -> SdxlGenerator:
    """The generator a profile names, from the model store."""
    from streetvision_core.models.hub import resolve

    return SdxlGenerator(resolve(name, settings), name)


def _shrink(photo: Any, side: int) -> Any:
    """At most `side` in each direction and a multiple of 8, which the autoencoder needs."""
    from PIL import Image

    width, height = (max(8, min(length, side) // 8 * 8) for length in photo.size)
    return photo if (width, height) == photo.size else photo.resize((width, height), Image.Resampling.LANCZOS)
