"""A language model whose weights are here: prompts in, responses out, and trainable."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from math import isnan
from pathlib import Path
from typing import Any

import torch

from biddable.errors import InputError, ModelError, said
from biddable.models.adapters import put_on, record_base
from biddable.models.agreement import proved_length
from biddable.models.base import GREEDY, Sampling, TokenScores
from biddable.models.chat import ChatFormat
from biddable.models.engine import Completion, Engine
from biddable.models.folders import fingerprint, read_module
from biddable.models.memory import keep_freed_memory
from biddable.models.packing import Span
from biddable.models.plain import PlainEngine, context_of
from biddable.models.precision import Precision, computes_in_bf16
from biddable.models.proof import Proof, known_proof
from biddable.models.seeds import require_one_each, row_seeds
from biddable.models.tokenizer import read_tokenizer
from biddable.models.weights import storing_weights
from biddable.runs.environment import rank
from biddable.runs.files import make_folder
from biddable.runs.progress import progress
from biddable.types import Prompt, Response

logger = logging.getLogger(__name__)


class LocalModel:
    """A ``transformers`` module and its tokenizer behind the ``TrainableModel`` protocol.

    Attributes:
        name: what it was loaded as.
        source: where its weights came from, for the record.
        module: the module; train it in place and ``generate`` uses the new weights.
        tokenizer: its tokenizer, always with a chat template.
        bf16: whether it is to generate and score in bfloat16. On a CPU the weights are fp32 all the same,
            and whoever trains them sees just those.
        fingerprint: a digest of the files that it was read from; "" for a module made in memory.
        base: what the model under its adapters was loaded as; "" for a module made in memory.
    """

    def __init__(
        self,
        module: Any,
        tokenizer: Any,
        *,
        name: str,
        source: str = "memory",
        precision: Precision = "auto",
        fingerprint: str = "",
    ):
        self.name, self.source, self.fingerprint = name, source, fingerprint
        self.base = "" if source == "memory" else name
        self.bf16 = computes_in_bf16(precision, next(module.parameters()).device)
        self.module, self.tokenizer = module, tokenizer
        self._chat = ChatFormat.of(module, tokenizer)
        self._end_ids = {*_end_ids(module, tokenizer), self._chat.end_id}
        self._proved: tuple[Any, Proof] | None = None

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
        where = _usable_device(device or _default_device())
        in_bf16 = where.type != "cpu" and computes_in_bf16(precision, where)
        dtype = torch.bfloat16 if in_bf16 else torch.float32
        if where.type == "cpu":
            keep_freed_memory()
        module: Any = read_module(folder, dtype)
        tokenizer = read_tokenizer(folder)
        module.to(where)
        digest = fingerprint(folder)
        return cls(
            module.eval(), tokenizer, name=name, source=source, precision=precision, fingerprint=digest
        )

    def with_adapter(self, folder: Path, *, name: str, source: str) -> LocalModel:
        """This model with a PEFT adapter put on it; this object is not to be used any more.

        Raises:
            ModelError: see ``adapters.put_on``.
        """
        module, tokenizer = put_on(self.module, self.tokenizer, folder)
        digest = f"{fingerprint(folder)}-{self.fingerprint}" if self.fingerprint else ""
        precision: Precision = "bf16" if self.bf16 else "fp32"
        model = LocalModel(
            module.eval(), tokenizer, name=name, source=source, precision=precision, fingerprint=digest
        )
        model.base = self.base
        return model

    @property
    def end_id(self) -> int:
        """The token that ends a turn: what training appends to a response."""
        return self._chat.end_id

    @property
    def begin_id(self) -> int:
        """What stands before the first token of a text that nothing comes before."""
        return self._chat.begin_id

    def encode_text(self, text: str) -> list[int]:
        """Token ids of a text by itself; perhaps none."""
        return self._chat.text(text)

    def encode_prompt(self, prompt: Prompt) -> list[int]:
        """Token ids of ``prompt`` up to where the response begins."""
        return self._chat.prompt(prompt)

    def encode_response(self, text: str) -> list[int]:
        """Token ids of a response, the end of the turn included, to follow ``encode_prompt``."""
        return self._chat.response(text)

    def generate(
        self,
        prompts: Sequence[Prompt],
        *,
        n: int = 1,
        sampling: Sampling = GREEDY,
        seeds: Sequence[int] | None = None,
    ) -> list[list[Response]]:
        """See ``LanguageModel.generate``.

        A prompt that cannot be answered, one too long or one that the template does not take, does not stop
        the others: its responses have an ``error``. Only where there is no other is the error raised.

        Raises:
            InputError: no prompt can be answered; the first one's error.
            ModelError: the model cannot be served.
        """
        samples = [[local_sample_seed(seed, i) for i in range(n)] for seed in row_seeds(prompts, n, seeds)]
        encoded, errors = self._prompts(prompts, sampling.max_tokens)
        asked = list(encoded)
        engine = self._engine(max(map(len, encoded.values()), default=0) + sampling.max_tokens)
        with progress(len(asked) * n, f"{Path(self.name).name} answers") as advance:
            rows = engine.generate(
                list(encoded.values()), n, sampling, [samples[i] for i in asked], on_finished=advance
            )
        responses = {
            index: [self.response(completion, sampling) for completion in completions]
            for index, completions in zip(asked, rows, strict=True)
        }
        for index, error in errors.items():
            responses[index] = [Response("", finish_reason="error", error=str(error))] * n
        return [responses[index] for index in range(len(prompts))]

    def score(
        self, prompts: Sequence[Prompt], continuations: Sequence[str], *, end: bool = True
    ) -> list[TokenScores]:
        """See ``LanguageModel.score``. Raises InputError: see ``score_tokens``."""
        require_one_each("continuations", continuations, prompts)
        return self.score_tokens(self._chat.spans(prompts, continuations, end=end))

    def score_tokens(self, spans: Sequence[Span]) -> list[TokenScores]:
        """How likely the second part of each span of token ids is after the first; neither is empty.

        Raises:
            InputError: a span is longer than the model's context.
        """
        context = context_of(self.module.config)
        longest = max((len(start) + len(target) for start, target in spans), default=0)
        if longest > context + 1:  # the last token is only predicted, and needs no place of its own
            expected = f"at most {context + 1}: the model was made for {context}, before the last"
            raise InputError("prompt and continuation", f"{longest} tokens", expected)
        starts, targets = [start for start, _ in spans], [target for _, target in spans]
        engine = self._engine(longest)
        with progress(len(spans), f"{Path(self.name).name} scores") as advance:
            return engine.score(starts, targets, advance)

    def _prompts(
        self, prompts: Sequence[Prompt], max_tokens: int
    ) -> tuple[dict[int, list[int]], dict[int, InputError]]:
        """Token ids of the prompts that can be answered, and why the others cannot, by their index."""
        encoded: dict[int, list[int]] = {}
        errors: dict[int, InputError] = {}
        context = context_of(self.module.config)
        room = context - max_tokens
        if room < 1:
            expected = f"at most {context - 1}: the model was made for {context} tokens, the prompt included"
            raise InputError("max_tokens", max_tokens, expected)
        for index, prompt in enumerate(prompts):
            try:
                ids = self.encode_prompt(prompt)
                if not 0 < len(ids) <= room:
                    expected = f"1 to {room}, to leave {max_tokens} to answer"
                    raise InputError("prompt", f"{len(ids)} tokens", expected)
                encoded[index] = ids
            except InputError as error:
                errors[index] = error
        if errors and not encoded:
            raise next(iter(errors.values()))
        if errors:
            first = next(iter(errors.values()))
            logger.warning(
                "%d of %d prompts cannot be answered; the first: %s", len(errors), len(prompts), first
            )
        return encoded, errors

    def save(self, folder: Path) -> Path:
        """Write weights (safetensors; an adapter when there is one), config and tokenizer into ``folder``.

        Under ``torchrun`` all processes hold the same weights, and only the first one writes them.

        Raises:
            StorageError: the disk is full, or may not be written.
        """
        if rank() > 0:
            return folder
        make_folder(folder)
        with storing_weights(folder):
            self.module.save_pretrained(folder, safe_serialization=True)
            self.tokenizer.save_pretrained(folder)
        if self.base and (folder / "adapter_config.json").is_file():
            record_base(folder, self.base)
        return folder

    def _engine(self, longest: int) -> Engine | PlainEngine:
        """What computes rows of up to ``longest`` tokens. Raises ModelError: see ``proof.prove``."""
        proof = self._proof()
        ends = sorted(self._end_ids)
        if proof.path == "fast" and longest <= proved_length(self.module.config):
            return Engine(self.module, ends, self._decode, bf16=proof.bf16, own_head=proof.own_head)
        return PlainEngine(self.module, ends, self._decode, cached=proof.cached)

    def batched_engine(self, longest: int) -> Engine | None:
        """Our decoder for rows of up to ``longest`` tokens; None where the model takes the plain path."""
        engine = self._engine(longest)
        return engine if isinstance(engine, Engine) else None

    def _proof(self) -> Proof:
        """How the module is served; found out on first use, and said where it is not as asked for."""
        if self._proved is None or self._proved[0] is not self.module:
            try:
                proof = known_proof(self.module, bf16=self.bf16, fingerprint=self.fingerprint)
            except ModelError as error:
                raise ModelError(f"{self.name}: {error}") from error
            self._proved = self.module, proof
            if proof.path == "plain":
                logger.warning(
                    "%s is computed by transformers, one prompt at a time, which is slower: %s",
                    self.name,
                    proof.reason,
                )
            elif self.bf16 and not proof.bf16 and proof.reason:
                logger.warning("%s generates in fp32: %s", self.name, proof.reason)
        return self._proved[1]

    def _decode(self, token_ids: Sequence[int]) -> str:
        return str(self.tokenizer.decode(token_ids, skip_special_tokens=True))

    def response(self, completion: Completion, sampling: Sampling) -> Response:
        """The response that a completion is: its text up to the first stop string."""
        if isnan(sum(completion.logprobs)):
            return Response("", finish_reason="error", error="the model's numbers are not finite (NaN)")
        text = self._decode(completion.token_ids)
        cuts = [place for stop in sampling.stop if (place := text.find(stop)) >= 0]
        return Response(
            text=text[: min(cuts)] if cuts else text,
            token_ids=completion.token_ids,
            logprobs=completion.logprobs,
            finish_reason="stop" if completion.ended else "length",
        )


def local_sample_seed(seed: int, sample: int) -> int:
    """Sample 0 keeps its prompt's seed, so that asking for more samples does not change the first."""
    # Not seeds.sample_seed: our sampler hashes seeds itself and takes 64 bits, so neighbouring ones do no
    # harm and none need be cut short. What existing runs have drawn hangs on this very formula.
    return seed + sample * 0x9E37_79B9_7F4A_7C15


def _default_device() -> str:
    """The first GPU, else the CPU; under ``torchrun`` each process has a GPU of its own."""
    return f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if torch.cuda.is_available() else "cpu"


def _usable_device(name: str) -> torch.device:
    """The device of that name. Raises InputError where there is none, or nothing is computed on it."""
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError) as error:
        problem = said(error).partition(". ")[0]
        raise InputError("device", name, f"cpu, or a device that is here ({problem})") from None
    return device


def _end_ids(module: Any, tokenizer: Any) -> set[int]:
    configured = getattr(module.generation_config, "eos_token_id", None)
    listed = configured if isinstance(configured, list) else [configured]
    return {int(token) for token in (*listed, tokenizer.eos_token_id) if token is not None}
