"""On first use a model proves itself: what it computes through us is what it computes by itself.

A short batch of unequal prompts goes through our decoder (``models/engine.py``); its scores, and the greedy
tokens it draws with their log-probabilities, are held against the module's own forward over each sequence
alone. A model that passes is served by the decoder; one that does not, by ``transformers`` itself
(``models/plain.py``), which is held against the same forward; one that fails there too is refused.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from biddable.errors import BiddableError, ModelError, said
from biddable.models.base import Sampling
from biddable.models.engine import Engine
from biddable.models.folders import listed
from biddable.models.plain import PlainEngine, bare, context_of, evaluating, plain_logits, plain_logprobs
from biddable.runs.files import cache_folder, write_atomic

LENGTHS = (1, 3, 8, 32)
"""Tokens of the prompts. The second and third begin alike, as do the third and fourth."""

SMALL, SMALL_LENGTH, SMALL_STEPS = 20_000_000, 120, 12
"""A module of so few parameters shows more: the longest prompt is longer, and more tokens are drawn."""

STEPS = 2
"""Greedy tokens drawn after each prompt."""

EXACT = 1e-3
"""The most that a log-probability (nats) may differ in fp32, where sums are only taken in another order."""

ROUNDING = 3.0
"""In bf16 errors (root mean square) may be this many times those of plain PyTorch in bf16 …"""

FLOOR = 0.01
"""… and this much (nats) beside."""


@dataclass(frozen=True, slots=True)
class Proof:
    """How a model is served.

    Attributes:
        path: "fast", by our decoder, or "plain", by ``transformers``.
        bf16: whether it generates in bfloat16.
        cached: on the plain path, whether the module's own cache is used.
        reason: why not the fast path, or not bfloat16; one line.
    """

    path: Literal["fast", "plain"]
    bf16: bool
    cached: bool = True
    reason: str = ""


def prove(module: Any, *, bf16: bool = False) -> Proof:
    """Find the path that computes what ``module`` computes by itself.

    Args:
        module: a ``transformers`` causal language model, possibly with PEFT adapters.
        bf16: on a CPU, whether it is to generate in bfloat16.

    Raises:
        ModelError: its own forward fails, is not finite or looks ahead, or its own ``generate`` gives what
            its forward does not.
    """
    with evaluating(module), torch.inference_mode():
        prompts = _require_causal(module)
        try:
            in_fp32, in_bf16 = _fast_difference(module, prompts, bf16=bf16)
        except Exception as error:  # whatever an architecture trips over that the decoder does not know
            problem = said(error) if not isinstance(error, BiddableError) else str(error)
        else:
            if in_fp32 is None:
                bf16 = bf16 and not in_bf16
                return Proof("fast", bf16, reason=in_bf16 or "")
            problem = in_fp32
        return _plain_proof(module, prompts, problem)


def proved_length(config: Any) -> int:
    """Up to how many tokens, prompt and response together, short prompts speak for a model.

    Beyond it some models compute otherwise: positions are scaled by the longest row, or a token sees its
    own chunk only. Such rows take the plain path.
    """
    text = config.get_text_config()
    limits = [getattr(text, "attention_chunk_size", None)]
    rope = getattr(text, "rope_parameters", None) or {}
    for parameters in (rope, *(value for value in rope.values() if isinstance(value, dict))):
        if parameters.get("rope_type") in ("dynamic", "longrope"):
            named = "original_max_position_embeddings"
            known = [limit for limit in (parameters.get(named), getattr(text, named, None)) if limit]
            limits += known or [context_of(config)]
    return min((limit for limit in limits if limit), default=sys.maxsize)


def known_proof(module: Any, *, bf16: bool, fingerprint: str) -> Proof:
    """``prove``, whose outcome is kept for the weights with this ``fingerprint`` ("": not kept).

    Raises:
        ModelError: see ``prove``.
    """
    if not fingerprint:
        return prove(module, bf16=bf16)
    device = next(module.parameters()).device.type
    key = sha256(json.dumps([fingerprint, device, bf16, str(module.dtype), _versions()]).encode()).hexdigest()
    kept = cache_folder() / "proofs" / key
    with suppress(OSError, ValueError, TypeError):
        return Proof(**json.loads(kept.read_bytes()))
    proof = prove(module, bf16=bf16)
    with suppress(BiddableError, OSError):
        write_atomic(kept, json.dumps(asdict(proof)))
    return proof


def _versions() -> list[str]:
    """What an outcome hangs on besides the weights: the code that computes, ours included."""
    import transformers

    import biddable

    sources = sorted(Path(__file__).parent.rglob("*.[pc]*"))
    ours = sha256(b"".join(path.read_bytes() for path in sources if path.suffix in (".py", ".c")))
    return [torch.__version__, transformers.__version__, biddable.__version__, ours.hexdigest()]


def proof_prompts(module: Any) -> list[list[int]]:
    """Token ids of unequal prompts that begin alike in pairs, drawn with a fixed seed."""
    text = module.config.get_text_config()
    rows = module.get_input_embeddings().weight.shape[0]
    vocabulary = min(getattr(text, "vocab_size", rows), rows)
    room = min(context_of(module.config), proved_length(module.config)) - _steps(module)
    longest = max(2, min(SMALL_LENGTH if _is_small(module) else LENGTHS[-1], room))
    numbers = torch.Generator().manual_seed(0)
    ids = torch.randint(0, vocabulary, (2 * longest,), generator=numbers).tolist()
    third = ids[: min(LENGTHS[2], longest)]
    fourth = [*third[: len(third) // 2], *ids[longest : 2 * longest - len(third) // 2]]
    return [ids[-LENGTHS[0] :], [*third[:2], *ids[-2:]][: min(LENGTHS[1], longest)], third, fourth[:longest]]


def _is_small(module: Any) -> bool:
    return sum(parameter.numel() for parameter in module.parameters()) < SMALL


def _steps(module: Any) -> int:
    """How many greedy tokens are drawn; fewer where a model was made for little more than that."""
    limit = min(context_of(module.config), proved_length(module.config))
    return min(SMALL_STEPS, max(STEPS, limit // 4)) if _is_small(module) else STEPS


def agree(ours: Tensor, exact: Tensor, rounded: Tensor | None = None) -> str | None:
    """Hold log-probabilities against those of the plain forward.

    Args:
        ours: [N] nats.
        exact: [N] by the plain forward, in the type that the weights have.
        rounded: [N] by the plain forward in bf16, where ours are in bf16; None where they are not.

    Returns:
        what is wrong, in words; None when they agree.
    """
    if not bool(torch.isfinite(ours).all()):
        return "log-probabilities are not finite"
    error = (ours - exact).abs()
    if rounded is None:
        largest = float(error.max())
        return None if largest <= EXACT else f"log-probabilities differ by up to {largest:.2g} nats"
    rms, noise = (float((x - exact).square().mean().sqrt()) for x in (ours, rounded))
    if rms <= ROUNDING * noise + FLOOR:
        return None
    return f"log-probabilities in bf16 differ by {rms:.2g} nats (plain PyTorch's by {noise:.2g})"


def disagreement(
    module: Any, ours: Tensor, rows: Sequence[Sequence[int]], starts: Sequence[int], *, bf16: bool
) -> str | None:
    """Hold log-probabilities of the ends of rows against the module's own forward over each row alone.

    Args:
        module: a ``transformers`` causal language model, possibly with PEFT adapters.
        ours: [N] log-probabilities of ``row[start:]``, row after row.
        rows: token ids.
        starts: where in each row what is scored begins, at least 1.
        bf16: whether ours were multiplied in bfloat16.

    Returns:
        what is wrong, in words; None when they agree.
    """

    def forward() -> Tensor:
        return torch.cat(
            [plain_logprobs(module, row, start).cpu() for row, start in zip(rows, starts, strict=True)]
        )

    with evaluating(module), torch.inference_mode():
        exact = forward()
        first = next(module.parameters())
        if first.dtype != torch.float32:
            return agree(ours.cpu(), exact, _spread(exact))
        if not bf16:
            return agree(ours.cpu(), exact)
        with torch.autocast(first.device.type, torch.bfloat16):
            return agree(ours.cpu(), exact, forward())


def _fast_difference(
    module: Any, prompts: Sequence[Sequence[int]], *, bf16: bool
) -> tuple[str | None, str | None]:
    """What is wrong with our decoder in the weights' own type, and (if asked for) in bf16; None: nothing."""
    on_cpu = next(module.parameters()).device.type == "cpu"
    wide = next(module.parameters()).dtype == torch.float32
    engine = Engine(module, [-1], str)
    steps = _steps(module)
    rows, drawn = _greedy(engine.generate, prompts, steps)
    # What PyTorch itself rounds there is known in fp32 only; weights in bf16 have no other to compare with.
    exact, best = _forward(module, rows, prompts)
    scored = rows if _is_small(module) else rows[:-1]  # the longest one's end is held against its own draw
    scores = engine.score([row[:1] for row in scored], [row[1:] for row in scored])
    ours = torch.tensor([value for score in scores for value in score.logprobs])
    exact = exact[: len(ours)]
    if wide:
        problem = agree(ours, exact) or agree(drawn, best[1]) or _not_greedy(best)
    else:
        problem = agree(ours, exact, _spread(exact)) or agree(drawn, best[1], _spread(best[1]))
    if problem or not (bf16 and on_cpu and wide):
        return problem, None
    if not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return None, "this processor does not multiply bfloat16"
    try:
        rows, drawn = _greedy(Engine(module, [-1], str, bf16=True).generate, prompts, steps)
        _, best = _forward(module, rows, prompts)
        with torch.autocast("cpu", torch.bfloat16):
            _, rounded = _forward(module, rows, prompts)
        return None, agree(drawn, best[1], rounded[1])
    except Exception as error:
        return None, said(error)


def _spread(exact: Tensor) -> Tensor:
    """Weights in bf16: nothing exact to compare with, so errors may be those of three digits."""
    return exact + 2.0**-6 * exact.abs().clamp(min=1.0)


def _greedy(
    generate: Callable[..., Any], prompts: Sequence[Sequence[int]], steps: int, samples: int = 1
) -> tuple[list[list[int]], Tensor]:
    """The prompts with the tokens drawn after them, and [rows * steps] the log-probabilities of these."""
    sampling = Sampling(max_tokens=steps, temperature=0.0)
    out = generate(prompts, samples, sampling, [[0] * samples] * len(prompts))
    rows = [[*prompt, *row[0].token_ids] for prompt, row in zip(prompts, out, strict=True)]
    return rows, torch.tensor([value for row in out for value in row[0].logprobs])


def _forward(
    module: Any, rows: Sequence[Sequence[int]], prompts: Sequence[Sequence[int]]
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """By the plain forward over each row alone.

    Returns:
        [N] log-probabilities of all tokens but the first of each row; and of the tokens drawn after the
        prompts the largest log-probability at their place and their own, [rows * steps] each.
    """
    every, largest, own = [], [], []
    for row, prompt in zip(rows, prompts, strict=True):
        logprobs = plain_logits(module, row)[:-1].log_softmax(-1).cpu()
        picked = logprobs.gather(1, torch.tensor(row[1:])[:, None])[:, 0]
        every.append(picked)
        own.append(picked[len(prompt) - 1 :])
        largest.append(logprobs[len(prompt) - 1 :].amax(-1))
    return torch.cat(every), (torch.cat(largest), torch.cat(own))


def _not_greedy(best: tuple[Tensor, Tensor]) -> str | None:
    """Whether tokens that were drawn greedily are not the likeliest, ties within rounding aside."""
    worst = float((best[0] - best[1]).max())
    return None if worst <= EXACT else f"greedy tokens are not the likeliest (by {worst:.2g} nats)"


def _require_causal(module: Any) -> list[list[int]]:
    """The proof's prompts. Raises ModelError where the module's own forward is not finite or looks ahead."""
    name = type(bare(module)).__name__
    try:
        prompts = proof_prompts(module)
        ids = prompts[2]
        half = max(1, len(ids) // 2)
        whole, part = plain_logits(module, ids)[:half], plain_logits(module, ids[:half])
    except Exception as error:
        raise ModelError(f"{name} cannot be computed ({said(error)})") from error
    if names := [name for name, p in module.named_parameters() if not _all_finite(p)]:
        raise ModelError(f"{len(names)} of its tensors hold NaN or infinity ({listed(names)})")
    if not (_all_finite(whole) and _all_finite(part)):
        raise ModelError(f"{name} gives numbers that are not finite")
    tolerance = EXACT if module.dtype == torch.float32 else 0.05
    difference = float((whole - part).abs().max()) / max(1.0, float(whole.abs().max()))
    if difference > tolerance:
        raise ModelError(f"{name} is no decoder: what comes later changes what came before")
    return prompts


def _all_finite(values: Tensor) -> bool:
    """Whether there is no NaN or infinity, of which a sum would be one too."""
    return bool(torch.isfinite(values.sum(dtype=torch.float32)))


def _plain_proof(module: Any, prompts: Sequence[Sequence[int]], reason: str) -> Proof:
    """The proof of the plain path, with the module's own cache or, where that is wrong, without."""
    problem: str | None = None
    for cached in (True, False):
        try:
            # Two samples: RWKV's own cache is wrong as soon as there is more than one row.
            generate = PlainEngine(module, [], str, cached=cached).generate
            rows, drawn = _greedy(generate, prompts, _steps(module), samples=2)
            _, best = _forward(module, rows, prompts)
            rounded = None if module.dtype == torch.float32 else _spread(best[1])
            problem = agree(drawn, best[1], rounded)
        except Exception as error:
            problem = said(error)
        if problem is None:
            return Proof("plain", False, cached, reason)
    raise ModelError(f"{type(bare(module)).__name__} cannot be served: {problem}")
