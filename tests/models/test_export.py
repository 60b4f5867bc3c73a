"""What ``export`` writes opens in plain transformers, with the same logits."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from biddable.errors import InputError
from biddable.models.export import export
from biddable.models.load import load_model

from .test_adapters import adapter, base  # noqa: F401  (a fixture)

IDS = torch.tensor([[3, 4, 5, 6]])


def logits(module) -> torch.Tensor:
    with torch.no_grad():
        return module(IDS).logits


def test_whole_weights_are_as_they_were(base: Path, tmp_path: Path) -> None:  # noqa: F811
    out = export(base, tmp_path / "out")
    assert torch.equal(logits(AutoModelForCausalLM.from_pretrained(out)), logits(load_model(base).module))
    assert AutoTokenizer.from_pretrained(out).chat_template


def test_an_adapter_is_merged_or_kept(base: Path, tmp_path: Path) -> None:  # noqa: F811
    trained = adapter(base, tmp_path / "adapter")
    expected = logits(load_model(trained, precision="fp32").module)
    merged = export(trained, tmp_path / "merged")
    assert not (merged / "adapter_config.json").exists()
    found = logits(AutoModelForCausalLM.from_pretrained(merged, dtype=torch.float32))
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(found, logits(load_model(base, precision="fp32").module), atol=1e-2)
    kept = export(trained, tmp_path / "kept", merge=False)
    torch.testing.assert_close(logits(load_model(kept, precision="fp32").module), expected)


def test_what_is_there_is_left_alone(base: Path, tmp_path: Path) -> None:  # noqa: F811
    with pytest.raises(InputError, match="a new or an empty folder"):
        export(base, base)
    with pytest.raises(InputError, match="whose weights are here"):
        export("openai:x@http://localhost:1", tmp_path / "out")
    assert not (tmp_path / "out").exists()
