import json

import pytest
from typer.testing import CliRunner

from streetvision_core.cli import _output
from streetvision_core.cli._app import app
from streetvision_core.compression.memory import claims, measurable, measure, plan_memory, shape, shapes
from streetvision_core.compression.memory.plan import RUNTIME_GIB, SLACK
from streetvision_core.errors import ModelError, SettingsError
from streetvision_core.models.hub import entry
from streetvision_core.settings import VlmSettings, load_settings


def settings(profile="platinum", **vlm):
    base = load_settings(profile)
    return base.model_copy(update={"vlm": VlmSettings(**vlm)})


@pytest.mark.parametrize("model", [one for one in shapes() if one.architecture], ids=lambda one: one.id)
def test_shapes__parameters_counted_on_the_meta_device(model):
    import torch
    import transformers

    made = model.architecture
    config = getattr(transformers, made["config_class"])(**made["config"])
    with torch.device("meta"):
        network = getattr(transformers, made["class"])(config)
    assert sum(p.numel() for p in network.parameters()) == model.params
    assert model.params == pytest.approx(entry(model.id).params, rel=2e-3)
    if model.linear_params:
        layers = network.model.language_model.layers
        linear = [m.weight.numel() for m in layers.modules() if isinstance(m, torch.nn.Linear)]
        assert sum(linear) == model.linear_params
        text = network.config.text_config
        assert (text.num_hidden_layers, text.hidden_size, text.intermediate_size, text.num_key_value_heads) == (
            model.layers, model.hidden, model.intermediate, model.kv_heads,
        )  # fmt: skip


def test_shapes__tokens_of_an_image_as_its_processor_cuts_it():
    from transformers.models.glm4v.image_processing_glm4v import Glm4vImageProcessor

    patches = Glm4vImageProcessor().get_number_of_image_patches(768, 1024)
    assert patches // 4 == shape("zai-org/GLM-4.6V-Flash").tokens


@pytest.mark.parametrize(
    ("model", "precision", "gigabytes"),
    [
        ("zai-org/GLM-4.6V-Flash", "bf16", 20.6),
        ("zai-org/GLM-4.6V-Flash", "w4", 8.5),
        ("allenai/Molmo2-8B", "bf16", 17.4),
        ("allenai/Molmo2-8B", "w4", 7.1),
        ("timm/vit_large_patch16_dinov3.lvd1689m", "bf16", 0.61),
        ("rfdetr-medium", "bf16", 0.07),
        ("yolo12x", "bf16", 0.12),
        ("florence-community/Florence-2-large", "fp16", 1.54),
    ],
)
def test_weight_bytes__known_figures(model, precision, gigabytes):
    assert shape(model).weight_bytes(precision) / 1e9 == pytest.approx(gigabytes, abs=0.06)


def test_kv_bytes__by_hand():
    glm = shape("zai-org/GLM-4.6V-Flash")
    assert glm.kv_bytes(1) == 2 * 40 * 2 * 128 * glm.tokens * 2
    assert shape("rfdetr-medium").kv_bytes(8) == 0


def test_plan_memory__sums():
    plan = plan_memory(settings(four_bit=True), 24)
    assert plan.fits and plan.changes == ()
    weights = sum(item.weights_gib for item in plan.items)
    detectors = sum(item.working_gib for item in plan.items if item.role == "detector")
    working = max(detectors, *(item.working_gib for item in plan.items))
    assert plan.total_gib == pytest.approx((weights + working) * (1 + SLACK) + RUNTIME_GIB)
    assert {item.role for item in plan.items} == {"backbone", "detector", "vlm", "video_vlm", "ocr"}


def test_plan_memory__says_what_to_change():
    plan = plan_memory(settings(four_bit=False), 24)
    assert not plan.fits
    assert plan.changes[-1].fits
    assert [change.fits for change in plan.changes[:-1]] == [False] * (len(plan.changes) - 1)
    totals = [plan.total_gib, *(change.total_gib for change in plan.changes)]
    assert totals == sorted(totals, reverse=True)
    assert "SV_VLM__FOUR_BIT=true" in plan.changes[-1].what


def test_plan_memory__grows_with_miners_and_shrinks_with_precision():
    light = [plan_memory(settings("light", four_bit=True), 24, n).total_gib for n in (1, 2, 3)]
    assert light == sorted(light) and light[2] == pytest.approx(3 * light[0])
    bf16, w4 = (plan_memory(settings(four_bit=bit), 80).total_gib for bit in (False, True))
    assert w4 < bf16
    assert plan_memory(settings("light", four_bit=True), 80).total_gib < w4
    behind = plan_memory(settings("light", backend="server"), 24, 3)
    assert behind.fits and not any("vlm" in item.role for item in behind.items)


def test_plan_memory__a_card_for_which_nothing_helps():
    plan = plan_memory(settings(), 0.5)
    assert not plan.fits and not any(change.fits for change in plan.changes)


def test_claims__the_plans_table_against_the_count():
    rows = claims()
    assert sum(row.plan_raw_gb for row in rows) == pytest.approx(31.0)
    assert sum(row.plan_served_gb for row in rows) == pytest.approx(13.0), "the plan prints 21.0"
    assert max(rows, key=lambda row: row.counted_raw_gb / row.plan_raw_gb).model == "allenai/Molmo2-8B"


@pytest.mark.parametrize(
    ("profile", "gpu", "miners", "match"),
    [("embedded", 24, 1, "run on the CPU"), ("light", 0, 1, "more than 0 GiB"), ("light", 24, 0, "0 miners")],
)
def test_plan_memory__refuses(profile, gpu, miners, match):
    with pytest.raises(SettingsError, match=match):
        plan_memory(load_settings(profile), gpu, miners)


def test_cli__json_and_exit_codes(monkeypatch):
    run = CliRunner().invoke
    fits = run(app, ["plan-memory", "--gpu", "24", "--profile", "light", "--json"])
    assert fits.exit_code == 0 and json.loads(fits.stdout)["fits"]
    short = run(app, ["plan-memory", "--gpu", "8", "--profile", "platinum", "--json"])
    assert short.exit_code == 1 and json.loads(short.stdout)["changes"]
    monkeypatch.setattr(_output.stdout, "_width", 160)
    shown = run(app, ["plan-memory", "--gpu", "24"])
    assert "GLM-4.6V-Flash" in shown.stdout


@pytest.mark.slow
@pytest.mark.parametrize("model", [m for m in measurable() if m != "timm/vit_base_patch16_dinov3.lvd1689m"])
def test_measure__the_computed_figure_is_near_what_a_process_really_takes(model):
    found = measure(model)
    assert found.peak_mb >= found.loaded_mb > found.computed_weights_mb * 0.9
    if found.computed_mb is not None:  # torch: weights once, activations beside them
        assert found.loaded_mb == pytest.approx(found.computed_weights_mb, rel=0.25)
        assert found.computed_mb * 0.9 < found.peak_mb < found.computed_mb * 1.5


def test_measure__others_are_refused():
    with pytest.raises(ModelError, match="computed only"):
        measure("zai-org/GLM-4.6V-Flash")
