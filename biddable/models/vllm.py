"""vLLM as the engine, for models and batches that ours is too slow for. Imported only when used."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from biddable.errors import InputError, MissingDependency, ModelError
from biddable.models.base import GREEDY, Sampling, TokenScores
from biddable.models.chat import ChatFormat
from biddable.models.seeds import require_one_each, row_seeds, sample_seed
from biddable.types import FinishReason, Prompt, Response


class VLLMModel:
    """A model that vLLM runs in this process.

    Prompts are tokenised as ``LocalModel`` does it, so both engines see the same ids. Sampling is left
    to vLLM but not to its defaults: the model's own generation config is kept out.

    Args:
        name: a hub name or a folder of safetensors.
        engine: further arguments of ``vllm.LLM`` (``dtype``, ``max_model_len``, ``tensor_parallel_size`` …).

    Raises:
        MissingDependency: vLLM is not installed.
        ModelError: vLLM cannot load the model.
    """

    def __init__(self, name: str, **engine: Any):
        self._vllm = _vllm()
        self.name = name
        options = {"seed": 0, "generation_config": "vllm", "disable_log_stats": True, **engine}
        try:
            self._engine = self._vllm.LLM(model=name, trust_remote_code=False, **options)
        except (OSError, ValueError) as error:
            raise ModelError(f"vllm:{name} cannot be loaded: {_one_line(error)}") from error
        self._chat = ChatFormat(self._engine.get_tokenizer())

    def generate(
        self,
        prompts: Sequence[Prompt],
        *,
        n: int = 1,
        sampling: Sampling = GREEDY,
        seeds: Sequence[int] | None = None,
    ) -> list[list[Response]]:
        """See ``LanguageModel.generate``. Each response is a request of its own; vLLM shares their prefill.

        Raises:
            InputError: ``n`` or ``seeds`` cannot be used, or a prompt is longer than the model reads.
        """
        seeds = row_seeds(prompts, n, seeds)
        rows = [self._chat.prompt(prompt) for prompt in prompts for _ in range(n)]
        parameters = [self._parameters(sampling, sample_seed(seed, i)) for seed in seeds for i in range(n)]
        responses = [_response(output.outputs[0]) for output in self._call(rows, parameters)]
        return [responses[i : i + n] for i in range(0, len(responses), n)]

    def score(
        self, prompts: Sequence[Prompt], continuations: Sequence[str], *, end: bool = True
    ) -> list[TokenScores]:
        """See ``LanguageModel.score``.

        Raises:
            InputError: not one continuation for each prompt, or one is longer than the model reads.
        """
        require_one_each("continuations", continuations, prompts)
        spans = self._chat.spans(prompts, continuations, end=end)
        # vLLM scores only what it is prompted with, and will not draw fewer than one token.
        parameters = [
            self._vllm.SamplingParams(max_tokens=1, temperature=0.0, prompt_logprobs=0) for _ in prompts
        ]
        outputs = self._call([[*start, *answer] for start, answer in spans], parameters)
        return [
            TokenScores(tuple(answer), _logprobs(answer, output.prompt_logprobs[-len(answer) :]))
            for (_, answer), output in zip(spans, outputs, strict=True)
        ]

    def _call(self, prompts: list[list[int]], parameters: list[Any]) -> list[Any]:
        longest = max(map(len, prompts), default=0)
        if longest >= (limit := self._engine.llm_engine.model_config.max_model_len):
            raise InputError("prompt", f"{longest} tokens", f"fewer than the {limit} that {self.name} reads")
        requests = [{"prompt_token_ids": ids} for ids in prompts]
        return list(self._engine.generate(requests, parameters, use_tqdm=False)) if requests else []

    def _parameters(self, sampling: Sampling, seed: int) -> Any:
        return self._vllm.SamplingParams(
            max_tokens=sampling.max_tokens,
            temperature=sampling.temperature,
            top_k=sampling.top_k,
            top_p=sampling.top_p,
            stop=list(sampling.stop),
            stop_token_ids=[self._chat.end_id],
            seed=seed,
            logprobs=0,
        )


def _vllm() -> Any:
    if find_spec("vllm") is None:
        raise MissingDependency("vllm", 'pip install "biddable[vllm]"')
    # vLLM logs to stdout unless told otherwise before it is imported; stdout belongs to our results.
    os.environ.setdefault("VLLM_LOGGING_STREAM", "ext://sys.stderr")
    try:
        import vllm

        vllm.LLM  # noqa: B018  (vLLM imports itself piece by piece; this is where a broken install shows)
    except (ImportError, RuntimeError, OSError) as error:
        raise ModelError(f"vllm is installed but cannot be imported: {_one_line(error)}") from error
    return vllm


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _response(completion: Any) -> Response:
    ids = tuple(completion.token_ids)
    finish_reason: FinishReason = (
        completion.finish_reason if completion.finish_reason in ("stop", "length") else "error"
    )
    return Response(completion.text, ids, _logprobs(ids, completion.logprobs), finish_reason)


def _logprobs(token_ids: Sequence[int], entries: Sequence[Any]) -> tuple[float, ...]:
    """Of each token its own: vLLM lists the likeliest ones beside it."""
    return tuple(entry[token].logprob for token, entry in zip(token_ids, entries, strict=True))
