"""Language models that are small enough to be trained in a test, and a tokenizer of whole words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from biddable.models.local import LocalModel
from biddable.models.packed import PackedLM
from biddable.models.packing import Packed, pack
from biddable.train.config import TrainConfig
from biddable.train.examples import Example
from biddable.train.scorer import language_model, training_precision

SPECIAL = ("<pad>", "<eos>", "<turn>", "<end>")
WORDS = ("system", "user", "assistant", *(f"w{number}" for number in range(60)))
VOCABULARY = len(SPECIAL) + len(WORDS)
CONTEXT = 64

TEMPLATE = (
    "{% for message in messages %}{{ '<turn> ' + message['role'] + ' ' }}"
    "{% if message['role'] == 'assistant' %}"
    "{% generation %}{{ message['content'] + ' <end>' }}{% endgeneration %}"
    "{% else %}{{ message['content'] + ' <end>' }}{% endif %}{{ ' ' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<turn> assistant ' }}{% endif %}"
)
"""``generation`` marks what the assistant says, for TRL's ``assistant_only_loss``."""


def word_tokenizer(template: str = TEMPLATE) -> PreTrainedTokenizerFast:
    """One token for each word of ``SPECIAL`` and ``WORDS``; as in real chat models, turns end with <end>."""
    vocabulary = {word: index for index, word in enumerate((*SPECIAL, *WORDS))}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="<pad>"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="<end>",
        additional_special_tokens=["<turn>"],
    )
    wrapped.chat_template = template
    return wrapped


def ids(text: str) -> tuple[int, ...]:
    """Token ids of words."""
    words = (*SPECIAL, *WORDS)
    return tuple(words.index(word) for word in text.split())


_SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": CONTEXT,
    "initializer_range": 0.2,  # far from uniform, so that attention and likelihoods differ
    "pad_token_id": 0,
    "bos_token_id": None,
    "eos_token_id": SPECIAL.index("<end>"),
}


def llama(seed: int = 0, **changes: Any) -> Any:
    """Two layers, an output embedding of its own."""
    torch.manual_seed(seed)
    return LlamaForCausalLM(LlamaConfig(**_SIZES | changes)).eval()


def qwen(seed: int = 0) -> Any:
    """Two layers, biases, the output embedding tied to the input's."""
    torch.manual_seed(seed)
    module = Qwen2ForCausalLM(Qwen2Config(**_SIZES, tie_word_embeddings=True)).eval()
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if name.endswith(".bias"):
                parameter.normal_(std=0.2)
    return module


def gemma2() -> Any:
    """Scores of attention are capped, which our packing does not know."""
    torch.manual_seed(0)
    return Gemma2ForCausalLM(Gemma2Config(**_SIZES, head_dim=16)).eval()


MODULES = {"llama": llama, "qwen": qwen}


def local(module: Any = None) -> LocalModel:
    """A trainable model, which computes in fp32 on every machine."""
    return LocalModel(llama() if module is None else module, word_tokenizer(), name="tiny", precision="fp32")


def random_examples(n: int, *, completions: int = 1, seed: int = 0) -> list[Example]:
    """Examples of 2 to 6 prompt tokens and 1 to 8 tokens a completion."""
    numbers = torch.Generator().manual_seed(seed)

    def draw(least: int, most: int) -> tuple[int, ...]:
        length = int(torch.randint(least, most + 1, (), generator=numbers))
        return tuple(torch.randint(len(SPECIAL), VOCABULARY, (length,), generator=numbers).tolist())

    return [Example(draw(2, 6), tuple(draw(1, 8) for _ in range(completions))) for _ in range(n)]


@contextmanager
def packed(module: Any, config: TrainConfig) -> Iterator[PackedLM]:
    """A module as it is trained: a function of packed batches."""
    bf16 = config.bf16_on(torch.device("cpu"))
    with training_precision(module, bf16):
        yield language_model(module, bf16)


def pack_examples(examples: Sequence[Example]) -> Packed:
    """Examples as one packed batch."""
    return pack([(one.prompt, answer) for one in examples for answer in one.completions])


def plain_logprobs(module: Any, prompt: tuple[int, ...], completion: tuple[int, ...]) -> torch.Tensor:
    """Log-probability of each completion token by the module's own forward and log_softmax, [tokens]."""
    sequence = torch.tensor([[*prompt, *completion]])
    logits = module(input_ids=sequence, use_cache=False).logits[0, len(prompt) - 1 : -1]
    return logits.float().log_softmax(-1).gather(1, sequence[0, len(prompt) :, None])[:, 0]
