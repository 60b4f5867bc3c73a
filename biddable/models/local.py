"""A language model whose weights are here: chats in, responses out, and trainable."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from biddable.errors import ModelError
from biddable.models.base import GREEDY, Sampling, TokenScores
from biddable.models.chat import ChatFormat
from biddable.models.engine import Completion, Engine
from biddable.models.memory import keep_freed_memory
from biddable.models.precision import Precision, computes_in_bf16
from biddable.models.seeds import require_one_each, row_seeds
from biddable.models.weights import storing_weights
from biddable.runs.environment import rank
from biddable.runs.progress import progress
from biddable.types import Chat, Response


class LocalModel:
    """A ``transformers`` module and its tokenizer behind the ``TrainableModel`` protocol.

    Attributes:
        name: what it was loaded as.
        source: where its weights came from, for the record.
        module: the module; train it in place and ``generate`` uses the new weights.
        tokenizer: its tokenizer, always with a chat template.
        bf16: whether it generates in bfloat16. On a CPU the weights are fp32 all the same, and ``score``
            and whoever trains them see just those.
    """

    def __init__(
        self,
        module: Any,
        tokenizer: Any,
        *,
        name: str,
        source: str = "memory",
        precision: Precision = "auto",
    ):
        self.name, self.source = name, source
        self.bf16 = computes_in_bf16(precision, next(module.parameters()).device)
        self.module, self.tokenizer = module, tokenizer
        self._chat = ChatFormat(tokenizer)
        self._end_ids = {*_end_ids(module, tokenizer), self._chat.end_id}

    @classmethod
    def from_folder(
        cls,
        folder: Path,
        *,
        name: str,
        source: str,
        device: str | None = None,
        precision: Precision = "auto",
    ) -> LocalModel:
        """Read a folder of safetensors."""
        from transformers import AutoModelForCausalLM, AutoTokenizer

        where = torch.device(device or _default_device())
        in_bf16 = where.type != "cpu" and computes_in_bf16(precision, where)
        dtype = torch.bfloat16 if in_bf16 else torch.float32
        if where.type == "cpu":
            keep_freed_memory()
        options: dict[str, Any] = {"trust_remote_code": False, "local_files_only": True}
        with reading(folder, "a language model"):
            module: Any = AutoModelForCausalLM.from_pretrained(
                folder, dtype=dtype, use_safetensors=True, **options
            )
            tokenizer = AutoTokenizer.from_pretrained(folder, **options)
        module.to(where)
        return cls(module.eval(), tokenizer, name=name, source=source, precision=precision)

    def with_adapter(self, folder: Path, *, name: str, source: str) -> LocalModel:
        """This model with a PEFT adapter put on it; this object is not to be used any more."""
        from peft import PeftModel

        with reading(folder, "an adapter"):
            module = PeftModel.from_pretrained(self.module, str(folder))
        precision: Precision = "bf16" if self.bf16 else "fp32"
        return LocalModel(module.eval(), self.tokenizer, name=name, source=source, precision=precision)

    @property
    def end_id(self) -> int:
        """The token that ends a turn: what training appends to a response."""
        return self._chat.end_id

    def encode_prompt(self, chat: Chat) -> list[int]:
        """Token ids of ``chat`` up to where the response begins."""
        return self._chat.prompt(chat)

    def encode_response(self, text: str) -> list[int]:
        """Token ids of a response, the end of the turn included, to follow ``encode_prompt``."""
        return self._chat.response(text)

    def generate(
        self,
        chats: Sequence[Chat],
        *,
        n: int = 1,
        sampling: Sampling = GREEDY,
        seeds: Sequence[int] | None = None,
    ) -> list[list[Response]]:
        """See ``LanguageModel.generate``."""
        samples = [[_sample_seed(seed, i) for i in range(n)] for seed in row_seeds(chats, n, seeds)]
        prompts = [self.encode_prompt(chat) for chat in chats]
        with progress(len(chats) * n, f"{Path(self.name).name} answers") as advance:
            rows = self._engine().generate(prompts, n, sampling, samples, on_finished=advance)
        return [[self._response(completion, sampling) for completion in completions] for completions in rows]

    def score(self, chats: Sequence[Chat], continuations: Sequence[str]) -> list[TokenScores]:
        """See ``LanguageModel.score``."""
        require_one_each("continuations", continuations, chats)
        prompts = [self.encode_prompt(chat) for chat in chats]
        return self._engine().score(prompts, [self.encode_response(text) for text in continuations])

    def save(self, folder: Path) -> Path:
        """Write weights (safetensors; an adapter when there is one), config and tokenizer into ``folder``.

        Under ``torchrun`` all processes hold the same weights, and only the first one writes them.

        Raises:
            StorageError: the disk is full, or may not be written.
        """
        if rank() > 0:
            return folder
        with storing_weights(folder):
            self.module.save_pretrained(folder, safe_serialization=True)
            self.tokenizer.save_pretrained(folder)
        return folder

    def _engine(self) -> Engine:
        return Engine(self.module, sorted(self._end_ids), self._decode, bf16=self.bf16)

    def _decode(self, token_ids: Sequence[int]) -> str:
        return str(self.tokenizer.decode(token_ids, skip_special_tokens=True))

    def _response(self, completion: Completion, sampling: Sampling) -> Response:
        text = self._decode(completion.token_ids)
        cuts = [place for stop in sampling.stop if (place := text.find(stop)) >= 0]
        return Response(
            text=text[: min(cuts)] if cuts else text,
            token_ids=completion.token_ids,
            logprobs=completion.logprobs,
            finish_reason="stop" if completion.ended else "length",
        )


def _sample_seed(seed: int, sample: int) -> int:
    """Sample 0 keeps its prompt's seed, so that asking for more samples does not change the first."""
    # Not seeds.sample_seed: our sampler hashes seeds itself and takes 64 bits, so neighbouring ones do no
    # harm and none need be cut short. What existing runs have drawn hangs on this very formula.
    return seed + sample * 0x9E37_79B9_7F4A_7C15


def _default_device() -> str:
    """The first GPU, else the CPU; under ``torchrun`` each process has a GPU of its own."""
    return f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if torch.cuda.is_available() else "cpu"


def _end_ids(module: Any, tokenizer: Any) -> set[int]:
    configured = getattr(module.generation_config, "eos_token_id", None)
    listed = configured if isinstance(configured, list) else [configured]
    return {int(token) for token in (*listed, tokenizer.eos_token_id) if token is not None}


@contextmanager
def reading(folder: Path, what: str) -> Iterator[None]:
    """Turn what the readers of ``transformers`` and PEFT raise into a ModelError of one line."""
    try:
        yield
    except (OSError, ValueError, KeyError) as error:
        problem = str(error).strip().partition("\n")[0] or type(error).__name__
        raise ModelError(f"{folder}: cannot be read as {what}: {problem}") from error
