"""States of words in a frozen model: those of its own forward, whatever stands beside a sentence."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from biddable.errors import InputError
from biddable.models.token_states import word_states

BEGIN = 1


class Letters:
    """One token for each letter of a word."""

    def encode(self, text: str, add_special_tokens: bool = False) -> list[int]:
        return [2 + ord(letter) % 200 for letter in text.strip()]


@pytest.fixture(scope="module")
def model(tiny_config: Any) -> Any:
    from transformers import LlamaForCausalLM

    torch.manual_seed(0)
    module = LlamaForCausalLM(tiny_config).eval()
    return SimpleNamespace(module=module, tokenizer=Letters(), begin_id=BEGIN)


def test_a_word_has_the_state_of_its_last_token_and_its_mean_embedding(model: Any) -> None:
    [found] = word_states(model, [("go", "on", "a")], 1, echo=False)
    ids = torch.tensor([[BEGIN, *(i for word in ("go", "on", "a") for i in Letters().encode(word))]])
    with torch.inference_mode():
        hidden = model.module(input_ids=ids, output_hidden_states=True).hidden_states
    assert found.shape == (3, 64)
    assert found.dtype == np.float16
    np.testing.assert_allclose(found[:, :32], hidden[1][0, [2, 4, 5]].numpy(), atol=2e-3)
    np.testing.assert_allclose(found[1, 32:], hidden[0][0, 3:5].mean(0).numpy(), atol=2e-3)


def test_with_echo_a_word_knows_what_follows(model: Any) -> None:
    sentences = [("go", "left", "now"), ("go", "left", "then")]
    for echo in (False, True):
        first, second = word_states(model, sentences, 2, echo=echo)
        same = np.allclose(first[0, :32], second[0, :32], atol=1e-3)
        assert same is (not echo)


def test_what_stands_beside_a_sentence_changes_nothing(model: Any) -> None:
    sentences = [("a",), ("the", "quick", "brown", "fox", "jumps"), ("turn", "left")]
    together = word_states(model, sentences, 2, echo=True)
    for sentence, found in zip(sentences, together, strict=True):
        [alone] = word_states(model, [sentence], 2, echo=True)
        np.testing.assert_allclose(found, alone, atol=4e-3)


def test_layers_and_lengths_that_there_are_not(model: Any) -> None:
    with pytest.raises(InputError, match="layer is 3, expected a layer from 1 to 2"):
        word_states(model, [("go",)], 3)
    with pytest.raises(InputError, match=r"sentences\[1\] is '601 tokens', expected at most the 256 tokens"):
        word_states(model, [("go",), ("abc",) * 200], 1)
