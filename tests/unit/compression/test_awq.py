import json
import re
import subprocess
import sys

import pytest

from streetvision_core.compression import awq
from streetvision_core.errors import MissingExtraError, ModelError


def meta_model(kind):
    import torch
    import transformers

    names = {"glm4v": "Glm4v", "molmo2": "Molmo2"}[kind]
    config = getattr(transformers, f"{names}Config")(text_config={"num_hidden_layers": 3})
    with torch.device("meta"):
        return getattr(transformers, f"{names}ForConditionalGeneration")(config)


@pytest.mark.parametrize("kind", awq.MAPPINGS)
def test_mappings__name_every_layer_of_the_real_model_once(kind):
    import torch

    model = meta_model(kind)
    modules = dict(model.named_modules())
    layers = model.config.text_config.num_hidden_layers
    for smooth, readers in awq.MAPPINGS[kind]:
        for pattern in (smooth, *readers):
            found = [name for name in modules if re.match(pattern.removeprefix("re:"), name)]
            assert len(found) == layers, pattern
        first = next(name for name in modules if re.match(smooth.removeprefix("re:"), name))
        for reader in readers:  # what is smoothed has the width that its readers read
            name = next(name for name in modules if re.match(reader.removeprefix("re:"), name))
            weight = modules[first].weight
            assert weight.shape[0] == modules[name].in_features
    kept = [p.removeprefix("re:") for p in awq.KEPT]
    quantised = [
        name for name, m in modules.items()
        if isinstance(m, torch.nn.Linear) and not any(re.match(p, name) for p in kept)
    ]  # fmt: skip
    assert quantised and all("language_model.layers." in name for name in quantised)


def test_mappings_of__unknown_and_broken(tmp_path):
    with pytest.raises(ModelError, match="without a readable"):
        awq.mappings_of(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(ModelError, match="'bert'"):
        awq.mappings_of(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "glm4v"}))
    assert awq.mappings_of(tmp_path) == awq.MAPPINGS["glm4v"]
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "glm4v", "text_config": {"hidden_size": 64}}))
    with pytest.raises(ModelError, match="hidden_size 64; allowed: widths that are multiples of 128"):
        awq.mappings_of(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "glm4v"}))
    with pytest.raises(ModelError, match="--images"):
        awq.llm_compressor(tmp_path, tmp_path / "out", [])


@pytest.mark.parametrize(("tool", "module"), [("llm-compressor", "llmcompressor"), ("autoawq", "awq")])
def test_tools__outside_their_environment(tool, module, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, module, None)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "glm4v"}))
    name = {"llm-compressor": "quantize", "autoawq": "awq"}[tool]
    with pytest.raises(MissingExtraError, match=rf"pip install -r envs/{name}.txt"):
        awq.TOOLS[tool](tmp_path, tmp_path / "out", [tmp_path / "a.jpg"])
    assert awq.main([str(tmp_path), str(tmp_path / "out"), "--tool", tool]) == 1
    assert "Error" in capsys.readouterr().err


def test_module__imports_only_what_every_environment_has():
    code = (
        "import sys; import streetvision_core.compression.awq; "
        "print(*sorted(m for m in ('numpy', 'pydantic_settings', 'torch', 'yaml') if m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
