"""On first use a model proves itself: what it computes through us is what it computes by itself.

A short batch of unequal prompts goes through our decoder (``models/engine.py``); its scores, and the greedy
tokens it draws with their log-probabilities, are held against the module's own forward over each sequence
alone. A model that passes is served by the decoder; one that does not, by ``transformers`` itself
(``models/plain.py``), which is held against the same forward; one that fails there too is refused.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from biddable.errors import BiddableError, ModelError, said
from biddable.models.agreement import EXACT, agree, proof_prompts, proof_steps, spread
from biddable.models.base import Sampling
from biddable.models.engine import Engine
from biddable.models.folders import listed
from biddable.models.own_head import needs_own_head
from biddable.models.plain import PlainEngine, bare, evaluating, plain_logits
from biddable.runs.files import cache_folder, write_atomic


@dataclass(frozen=True, slots=True)
class Proof:
    """How a model is served.

    Attributes:
        path: "fast", by our decoder, or "plain", by ``transformers``.
        bf16: whether it generates and scores in bfloat16.
        cached: on the plain path, whether the module's own cache is used.
        reason: why not the fast path, or not bfloat16; one line.
        own_head: on the fast path, whether scores need the module's own head (see ``PackedLM``).
    """

    path: Literal["fast", "plain"]
    bf16: bool
    cached: bool = True
    reason: str = ""
    own_head: bool = False


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
                own_head = needs_own_head(module, bf16 and _is_wide(module))
                return Proof("fast", bf16, reason=in_bf16 or "", own_head=own_head)
            problem = in_fp32
        return _plain_proof(module, prompts, problem)


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


def _fast_difference(
    module: Any, prompts: Sequence[Sequence[int]], *, bf16: bool
) -> tuple[str | None, str | None]:
    """What is wrong with our decoder in the weights' own type, and (if asked for) in bf16; None: nothing."""
    on_cpu = next(module.parameters()).device.type == "cpu"
    wide = _is_wide(module)
    engine = Engine(module, [-1], str)
    steps = proof_steps(module)
    rows, drawn = _greedy(engine.generate, prompts, steps)
    # What PyTorch itself rounds there is known in fp32 only; weights in bf16 have no other to compare with.
    best = _forward(module, rows, prompts)
    problem = agree(drawn, best[1]) or _not_greedy(best) if wide else agree(drawn, best[1], spread(best[1]))
    if problem is None:
        needs_own_head(module, False)
    if problem or not (bf16 and on_cpu and wide):
        return problem, None
    if not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return None, "this processor does not multiply bfloat16"
    try:
        rows, drawn = _greedy(Engine(module, [-1], str, bf16=True).generate, prompts, steps)
        best = _forward(module, rows, prompts)
        with torch.autocast("cpu", torch.bfloat16):
            rounded = _forward(module, rows, prompts)
        problem = agree(drawn, best[1], rounded[1])
        if problem is None:
            needs_own_head(module, True)
        return None, problem
    except Exception as error:
        return None, said(error)


def _greedy(
    generate: Callable[..., Any], prompts: Sequence[Sequence[int]], steps: int, samples: int = 1
) -> tuple[list[list[int]], Tensor]:
    """The prompts with the tokens drawn after them, and [rows * steps] the log-probabilities of these."""
    sampling = Sampling(max_tokens=steps, temperature=0.0)
    out = generate(prompts, samples, sampling, [[0] * samples] * len(prompts))
    rows = [[*prompt, *row[0].token_ids] for prompt, row in zip(prompts, out, strict=True)]
    return rows, torch.tensor([value for row in out for value in row[0].logprobs])


def _is_wide(module: Any) -> bool:
    return next(module.parameters()).dtype == torch.float32


def _forward(
    module: Any, rows: Sequence[Sequence[int]], prompts: Sequence[Sequence[int]]
) -> tuple[Tensor, Tensor]:
    """Of the tokens drawn after the prompts, by the plain forward over each row alone.

    Returns:
        the largest log-probability at their place and their own, [rows * steps] each.
    """
    largest, own = [], []
    for row, prompt in zip(rows, prompts, strict=True):
        logprobs = plain_logits(module, row)[:-1].log_softmax(-1).cpu()
        picked = logprobs.gather(1, torch.tensor(row[1:])[:, None])[:, 0]
        own.append(picked[len(prompt) - 1 :])
        largest.append(logprobs[len(prompt) - 1 :].amax(-1))
    return torch.cat(largest), torch.cat(own)


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
            rows, drawn = _greedy(generate, prompts, proof_steps(module), samples=2)
            best = _forward(module, rows, prompts)
            rounded = None if module.dtype == torch.float32 else spread(best[1])
            problem = agree(drawn, best[1], rounded)
        except Exception as error:
            problem = said(error)
        if problem is None:
            return Proof("plain", False, cached, reason)
    raise ModelError(f"{type(bare(module)).__name__} cannot be served: {problem}")
