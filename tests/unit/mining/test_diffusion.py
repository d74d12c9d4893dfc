"""The real SDXL pipelines on tiny random weights saved locally, and the job around them."""

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from streetvision_core.errors import BudgetError, ModelError
from streetvision_core.images.decode import encode_jpeg
from streetvision_core.images.provenance import read_provenance
from streetvision_core.mining import diffusion
from streetvision_core.mining.cosmos import HostedGenerator
from streetvision_core.mining.quality import QualityGate
from streetvision_core.mining.spending import Budget
from streetvision_core.mining.synthesize import Order, SyntheticPlan
from streetvision_core.models.generator import ENDING, NEGATIVE, Request, SdxlGenerator
from streetvision_core.models.prompts import with_mode
from streetvision_core.types import Box, Frame

pytestmark = pytest.mark.slow
RNG = np.random.default_rng(0)
PHOTO = Frame.from_pixels(RNG.integers(0, 255, (72, 104, 3)).astype(np.uint8), "photo.jpg")


def tiny_clip(torch, projection):
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    config = CLIPTextConfig(
        hidden_size=32,
        intermediate_size=37,
        num_hidden_layers=2,
        num_attention_heads=4,
        vocab_size=1000,
        projection_dim=32,
        bos_token_id=0,
        eos_token_id=2,
    )
    torch.manual_seed(0)
    return (CLIPTextModelWithProjection if projection else CLIPTextModel)(config)


def tiny_tokenizer(folder):
    """A CLIP tokenizer over single letters."""
    from transformers import CLIPTokenizer

    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)] + list(",.'-0123456789")
    words = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{c}</w>" for c in letters)]
    folder.mkdir()
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=77)


@pytest.fixture(scope="module")
def sdxl(tmp_path_factory):
    torch = pytest.importorskip("torch")
    pytest.importorskip("diffusers")
    from diffusers import AutoencoderKL, EulerDiscreteScheduler, StableDiffusionXLPipeline, UNet2DConditionModel

    folder = tmp_path_factory.mktemp("sdxl")
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        block_out_channels=(32, 64),
        layers_per_block=1,
        sample_size=8,
        in_channels=4,
        out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=(2, 4),
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        transformer_layers_per_block=(1, 1),
        projection_class_embeddings_input_dim=80,
        cross_attention_dim=64,
    )
    vae = AutoencoderKL(
        block_out_channels=[32, 64],
        in_channels=3,
        out_channels=3,
        down_block_types=["DownEncoderBlock2D"] * 2,
        up_block_types=["UpDecoderBlock2D"] * 2,
        latent_channels=4,
    )
    tokenizer = tiny_tokenizer(folder / "letters")
    pipeline = StableDiffusionXLPipeline(
        vae=vae,
        unet=unet,
        scheduler=EulerDiscreteScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear"),
        text_encoder=tiny_clip(torch, False),
        text_encoder_2=tiny_clip(torch, True),
        tokenizer=tokenizer,
        tokenizer_2=tokenizer,
        add_watermarker=False,
    )
    pipeline.save_pretrained(folder / "model", safe_serialization=True)
    return SdxlGenerator(folder / "model", "tiny-sdxl", "cpu", side=64, steps=3)


def requests():
    mask = diffusion.road_mask(PHOTO)
    return [
        Request("text-to-image", "a street", 1, 5),
        Request("image-to-image", "a street", 0, 5, PHOTO),
        Request("inpaint", "a street", 1, 5, PHOTO, mask, strength=0.99),
    ]


def test_draw__all_three_tasks_and_the_same_again(sdxl):
    images = sdxl.draw(requests())
    assert images[0].shape == (64, 64, 3)
    assert images[1].dtype == np.uint8
    assert images[1].shape[:2] == images[2].shape[:2] == (64, 64)
    assert all(image.std() > 0 for image in images)
    again = sdxl.draw(requests()[:1])[0]
    assert (images[0] == again).all()


def test_provenance__names_everything_that_the_validators_set(sdxl):
    said = sdxl.provenance(requests()[1])
    assert (said["guidance"], said["strength"], said["steps"]) == (8.0, 0.7, 3)
    assert said["prompt"].endswith(ENDING[0])
    assert said["negative_prompt"] == NEGATIVE["image-to-image"]
    assert said["source"] == "photo.jpg"
    assert SdxlGenerator(sdxl.folder, "x").steps == 25


def test_request__a_photo_where_none_belongs_is_refused():
    with pytest.raises(ModelError, match="mend the request"):
        Request("text-to-image", "a", 1, 0, PHOTO)
    with pytest.raises(ModelError, match="mask"):
        Request("inpaint", "a", 1, 0, PHOTO)


def test_generator__a_folder_without_weights_says_what_to_pull(tmp_path):
    with pytest.raises(ModelError, match="streetvision models pull"):
        SdxlGenerator(tmp_path, "stabilityai/stable-diffusion-xl-base-1.0")


def observe(frame):
    features = np.random.default_rng(int(frame.sha256[:8], 16)).standard_normal(16) * 0.2 + 1
    return features.astype(np.float32), (Box(0, 0, 4, 4, "cone", 0.6),)


def make_plan(n=3):
    photos = [diffusion.Photo(PHOTO, 0, "g1")]
    plan = SyntheticPlan((Order("fog", n, n),))
    return list(diffusion.plan_requests(plan, photos, lambda frame, label, mode: with_mode(f"street {label}", mode), 1))


@pytest.fixture
def gate():
    rows = (1 + 0.2 * np.random.default_rng(5).standard_normal((100, 16))).astype(np.float32)
    return QualityGate(rows, 0.9999)


def test_plan__twins_and_pairs_under_the_ordered_condition():
    planned = make_plan(4)
    assert [one.request.task for one in planned].count("inpaint") == 1
    assert all("in dense fog" in one.request.prompt for one in planned)
    labels = [one.request.label for one in planned if one.request.task != "inpaint"]
    assert labels == [1, 0] * 3
    assert {one.request.task for one in planned} == {"text-to-image", "image-to-image", "inpaint"}


def test_draw_job__goes_on_after_a_kill_and_knows_what_is_left(sdxl, gate, tmp_path):
    planned = make_plan()
    assert diffusion.estimate(planned, tmp_path).seconds is None

    class KilledError(Exception):
        pass

    def stop(done, total):
        if done == 2:
            raise KilledError

    with pytest.raises(KilledError):
        diffusion.draw(planned, sdxl, gate, observe, tmp_path, stop)
    left = diffusion.estimate(planned, tmp_path, usd_per_hour=3600.0)
    assert (left.images, left.done) == (len(planned) - 2, 2)
    assert left.usd == pytest.approx(left.seconds, abs=1e-3)
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.png")}
    records = diffusion.draw(planned, sdxl, gate, observe, tmp_path)
    assert {name: (tmp_path / name).stat().st_mtime_ns for name in before} == before
    assert len(records) == len(planned)
    assert json.loads((tmp_path / "manifest.json").read_text())["kept"] == sum(not r["refusal"] for r in records)
    said = read_provenance((tmp_path / f"{planned[0].id}.png").read_bytes())
    assert said["synthetic"] is True
    assert said["mode"] == "fog"
    assert said["generator"] == "tiny-sdxl"


def test_draw_job__another_prompt_is_drawn_anew(sdxl, gate, tmp_path):
    planned = make_plan(1)
    diffusion.draw(planned, sdxl, gate, observe, tmp_path)
    changed = [
        diffusion.Planned(p.id, Request("text-to-image", "other", p.request.label, 9), p.group, p.mode) for p in planned
    ]
    assert diffusion.estimate(changed, tmp_path).images == len(changed)


class Images(BaseHTTPRequestHandler):
    def do_POST(self):
        self.server.calls += 1
        self.rfile.read(int(self.headers["Content-Length"]))
        image = base64.b64encode(encode_jpeg(PHOTO.pixels)).decode()
        answer = json.dumps({"data": [{"b64_json": image}]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


def test_hosted__stops_at_its_budget(tmp_path):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Images)
    server.calls = 0
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        url = f"http://127.0.0.1:{server.server_port}/v1"
        hosted = HostedGenerator(url, "cosmos", Budget(tmp_path / "spent.json", 0.1), 0.04, "key")
        wanted = [Request("text-to-image", "a street", 1, i) for i in range(5)]
        with pytest.raises(BudgetError, match="raise the limit"):
            hosted.draw(wanted)
        assert server.calls == 2
        assert hosted.budget.spent_usd == pytest.approx(0.08)
        with pytest.raises(ModelError, match="SDXL generator"):
            hosted.draw(requests()[1:2])
    finally:
        server.shutdown()
        server.server_close()


def test_hosted__a_price_has_to_be_stated(tmp_path):
    with pytest.raises(ModelError, match="state it"):
        HostedGenerator("http://x", "cosmos", Budget(tmp_path / "s.json", 1), 0.0, "key")
