"""Which architectures generate, score and train, found out by trying every one: writes docs/architectures.md.

For each causal family of the installed ``transformers`` a tiny random model is written to a folder, read
back and asked: prompts of unequal lengths, scores, bfloat16, a step of training, and the trained weights
saved and read again. What comes out is held against the module's own forward and ``generate``, one row at a
time, by code that shares nothing with the library's own check (``models/proof.py``). Families run in worker
processes: one that ends its process is a row of the table too. Status 1 when anything came out wrong.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import os
import statistics
import subprocess
import sys
import tempfile
import textwrap
import threading
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from biddable.models.local import LocalModel
    from biddable.types import Chat

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "architectures.md"
AT_ONCE = 32
"""Families of one worker process, which imports ``transformers`` once for all of them."""

LIMIT_S = 900.0
"""Seconds that a worker process may take."""

EXACT = 2e-3
"""The most that a log-probability (nats) may differ from the plain forward's in fp32."""

IN_BF16, ROUTED_IN_BF16 = 0.25, 0.35
"""The most (nats, root mean square) that it may in bf16, where weights are random and logits unlike; and
where a router, too, may choose another expert."""

WIDTH = 160
"""Characters of a reason in the table."""

MAX_TOKENS, LENGTHS = 8, (1, 20, 44)
"""Of responses; and words of the prompts, below and above every window and chunk of the tiny models."""

INTRO = """# Architectures

How every causal family that `transformers` {version} knows fares here, found out by
`python -m benchmarks.architectures` on {date}: a tiny random model of each is saved, loaded, asked and
trained, and what comes out is held against the module's own forward and `generate`, one row at a time, in
fp32 on a CPU.

- **Fast path**: the library's own batched decoder. {fast} families.
- **Plain path**: `transformers` itself, one prompt at a time; the same answers, slower. {plain} families. A
  warning says so, with the reason, when such a model is first used.
- **Refused**: one line says why, with status 2. {refused} families. Encoders are no decoders, though
  `transformers` lists them; of an encoder-decoder only the half would be loaded.
- **Not tried**: no tiny model could be made of it. {not_made} families.
- {trains} families train.

Nothing hangs on this list: every model proves itself on first use (see [Models](models.md)), one of a family
that is not in it too. With other settings, a window or a cap, say, a family can fare otherwise.

| Family (`model_type`) | Generates and scores | Trains |
|---|---|---|
"""

WORDS = {"fast": "fast path", "plain": "plain path: ", "refused": "refused: ", "not made": "not tried: "}

Served = Literal["fast", "plain", "refused", "not made"]


@dataclass(slots=True)
class Outcome:
    """How a family fares.

    Attributes:
        family: its ``model_type``.
        path: what serves it; "refused"; or "not made" where there is no tiny model.
        reason: why not the fast path; one line.
        trains: whether a step of training was made.
        why_not: why it was not; one line.
        wrong: what the library got wrong, which must be nothing.
        notes: what is worth knowing of the family besides.
    """

    family: str
    path: Served = "refused"
    reason: str = ""
    trains: bool = False
    why_not: str = ""
    wrong: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def row(self) -> str:
        """Its line of the table."""
        served = WORDS[self.path] + (self.reason if self.path != "fast" else "")
        trained = "yes" if self.trains else f"no: {self.why_not}" if self.why_not else "no"
        if self.wrong:
            served = f"**wrong**: {'; '.join(self.wrong)}"
        cells = (textwrap.shorten(cell, WIDTH, placeholder=" …") for cell in (served, trained))
        cells = (cell.replace("|", "\\|").replace("<", "&lt;") for cell in cells)
        return f"| `{self.family}` | {' | '.join(cells)} |"


def outcome_of(family: str, folder: Path, **changes: Any) -> Outcome:
    """Try a family, its configuration changed by ``changes``; weights go to ``folder``.

    What is proved of a model is kept in ``BIDDABLE_CACHE``: give it a folder that is new.
    """
    from biddable.errors import ModelError
    from biddable.models.local import LocalModel
    from biddable.models.proof import known_proof
    from tests.models.families import tiny, word_tokenizer

    out = Outcome(family)
    try:
        module = tiny(family, **changes)
        module.save_pretrained(folder)
        word_tokenizer().save_pretrained(folder)
    except Exception as error:
        return Outcome(family, "not made", _line(error))

    def load() -> LocalModel:
        return LocalModel.from_folder(folder, name=family, source="tiny", precision="fp32")

    try:
        model = load()
        proof = known_proof(model.module, bf16=False, fingerprint=model.fingerprint)
    except ModelError as error:
        out.reason = str(error)
        for start in (f"{folder}: ", f"{type(module).__name__} ", "cannot be served: "):
            out.reason = out.reason.removeprefix(start)
        return out
    except Exception as error:
        out.wrong.append(f"loading: {_line(error)}")
        return out
    out.path, out.reason = proof.path, proof.reason
    steps: tuple[tuple[str, Callable[[], None]], ...] = (
        ("saved and read", lambda: _check_same(out, module, model.module)),
        ("generating", lambda: _check_answers(out, model)),
        ("scoring", lambda: _check_scores(out, model)),
        ("in bf16", lambda: _check_bf16(out, model)),
        ("training", lambda: _check_training(out, model, load, folder)),
    )
    for what, step in steps:
        try:
            step()
        except Exception as error:
            out.wrong.append(f"{what}: {_line(error)}")
    return out


def _chats() -> list[Chat]:
    from biddable import user
    from tests.models.families import WORDS

    longest = [WORDS[7 * place % len(WORDS)] for place in range(LENGTHS[-1])]
    chats = [user(" ".join(longest[:length])) for length in LENGTHS]
    return [*chats, user(" ".join(reversed(longest)))]


def _check_answers(out: Outcome, model: LocalModel) -> None:
    """Greedy answers, and drawn ones: likelihoods by the plain forward, tokens by ``generate``."""
    from biddable import Sampling

    chats = _chats()
    prompts = [model.encode_prompt(chat) for chat in chats]
    greedy = model.generate(chats, sampling=Sampling(max_tokens=MAX_TOKENS, temperature=0.0))
    drawn = model.generate(chats[:2], n=2, sampling=Sampling(max_tokens=MAX_TOKENS, temperature=1.0))
    off, below = [], []
    for prompt, responses in zip([*prompts, *prompts[:2]], [*greedy, *drawn], strict=True):
        for response in responses:
            own, best = _plain(model.module, prompt, response.token_ids)
            off += [abs(a - b) for a, b in zip(own, response.logprobs, strict=True)]
            if len(responses) == 1:
                below += [a - b for a, b in zip(best, own, strict=True)]
    _require_small(out, off, "log-probabilities of answers are off by")
    _require_small(out, below, "greedy tokens are less likely than others by")
    answers = [response.token_ids for [response] in greedy]
    theirs = [_their_answer(out, model, prompt) for prompt in prompts[::2]]
    if any(a is not None and a != b for a, b in zip(theirs, answers[::2], strict=True)):
        if max(below) <= EXACT:
            out.notes.append("the generate of transformers departs from its own forward")
        else:
            out.wrong.append("greedy answers are not those of transformers")


def _their_answer(out: Outcome, model: LocalModel, prompt: Sequence[int]) -> tuple[int, ...] | None:
    import torch

    ids = torch.tensor([list(prompt)])
    try:
        row = model.module.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            max_new_tokens=MAX_TOKENS,
            eos_token_id=model.end_id,
            pad_token_id=0,
        )
    except Exception as error:
        out.notes.append(f"the generate of transformers fails: {_line(error)}")
        return None
    return tuple(row[0, len(prompt) :].tolist())


def _check_scores(out: Outcome, model: LocalModel) -> None:
    chats = _chats()
    texts = [chat[-1].content for chat in reversed(chats)]
    off = []
    for chat, text, score in zip(chats, texts, model.score(chats, texts), strict=True):
        own, _ = _plain(model.module, model.encode_prompt(chat), model.encode_response(text))
        off += [abs(a - b) for a, b in zip(own, score.logprobs, strict=True)]
    _require_small(out, off, "scores are off by")


def _check_bf16(out: Outcome, model: LocalModel) -> None:
    """Whatever the processor is made for: in bfloat16 or, where that cannot be, in fp32."""
    from biddable import Sampling
    from biddable.models.local import LocalModel
    from biddable.models.proof import known_proof

    options: dict[str, Any] = {"name": out.family, "fingerprint": model.fingerprint, "precision": "bf16"}
    in_bf16 = LocalModel(model.module, model.tokenizer, **options)
    chats = _chats()[:2]
    answers = in_bf16.generate(chats, sampling=Sampling(max_tokens=MAX_TOKENS, temperature=0.0))
    squares = []
    for chat, [response] in zip(chats, answers, strict=True):
        own, _ = _plain(model.module, model.encode_prompt(chat), response.token_ids)
        squares += [(a - b) ** 2 for a, b in zip(own, response.logprobs, strict=True)]
    proof = known_proof(model.module, bf16=True, fingerprint=model.fingerprint)
    is_routed = any("experts" in name for name in vars(model.module.config))
    bound = (ROUTED_IN_BF16 if is_routed else IN_BF16) if proof.bf16 else EXACT
    if not (rms := math.sqrt(statistics.fmean(squares))) <= bound:
        out.wrong.append(f"with bf16 log-probabilities are off by {rms:.2g}")
    if proof.path != out.path:
        out.wrong.append(f"with bf16 it takes the {proof.path} path: {proof.reason}")


def _check_training(out: Outcome, model: LocalModel, load: Callable[[], LocalModel], folder: Path) -> None:
    """A step's loss by the plain forward; that it changes the weights, and that these can be read again."""
    import torch

    from biddable import Message
    from biddable.errors import ModelError
    from biddable.train.sft import SftConfig, train_sft

    chats = [(*chat, Message("assistant", chat[-1].content)) for chat in _chats()]
    own = []
    for *chat, answer in chats:
        prompt = model.encode_prompt(tuple(chat))
        own += _plain(model.module, prompt, model.encode_response(answer.content))[0]
    before = {name: weight.clone() for name, weight in model.module.named_parameters()}
    try:
        report = train_sft(model, chats, SftConfig(lr=1e-3, precision="fp32"))
    except ModelError as error:
        out.why_not = str(error)
        return
    out.trains = True
    _require_small(
        out, [abs(report.history[0].loss + statistics.fmean(own))], "a training step's loss is off by"
    )
    if all(torch.equal(weight, before[name]) for name, weight in model.module.named_parameters()):
        out.wrong.append("training changes nothing")
    model.save(folder)
    _check_same(out, model.module, load().module)


def _check_same(out: Outcome, saved: Any, read: Any) -> None:
    """A module and what was read from the folder that it was saved to."""
    ids = list(range(4, 34))
    off = [
        abs(a - b)
        for a, b in zip(*(_plain(each, ids[:1], ids[1:])[0] for each in (saved, read)), strict=True)
    ]
    _require_small(out, off, "a folder read back differs from what was saved by")


def _plain(module: Any, prompt: Sequence[int], ids: Sequence[int]) -> tuple[list[float], list[float]]:
    """Log-probabilities of ``ids`` after ``prompt`` by the module's own forward, and the largest there."""
    import torch

    module.eval()
    with torch.inference_mode():
        logits = module(input_ids=torch.tensor([[*prompt, *ids]]), use_cache=False).logits
    logprobs = logits[0, len(prompt) - 1 : -1].float().log_softmax(-1)
    own = logprobs.gather(1, torch.tensor(list(ids))[:, None])[:, 0]
    return own.tolist(), logprobs.amax(-1).tolist()


def _require_small(out: Outcome, errors: Sequence[float], what: str) -> None:
    if not all(error <= EXACT for error in errors):  # NaN is not small
        out.wrong.append(f"{what} {max(errors):.2g}")


def _line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


def work(families: Sequence[str]) -> None:
    """Try families one after the other and print a JSON line for each."""
    import torch

    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    logging.disable()
    for family in families:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(asdict(outcome_of(family, Path(folder)))), flush=True)


def outcomes(families: Sequence[str]) -> list[Outcome]:
    """Try families in worker processes, one after the other.

    A family that ends its process, or takes it past its time, is refused; the next one gets a new process.
    """
    done: list[Outcome] = []
    with tempfile.TemporaryDirectory() as cache:
        environment = os.environ | {
            "BIDDABLE_CACHE": cache,
            "HF_HUB_OFFLINE": "1",
            "OMP_NUM_THREADS": "1",
            "TRANSFORMERS_VERBOSITY": "error",
        }
        while todo := list(families[len(done) : len(done) + AT_ONCE]):
            command = [sys.executable, "-m", "benchmarks.architectures", "--work", ",".join(todo)]
            with subprocess.Popen(
                command,
                cwd=ROOT,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            ) as process:
                timer = threading.Timer(LIMIT_S, process.kill)
                timer.start()
                lines = [line for line in process.stdout or () if line.startswith("{")]
                timer.cancel()
            done += [Outcome(**json.loads(line)) for line in lines]
            if len(lines) < len(todo):
                reason = f"its process ended with status {process.returncode}"
                done.append(Outcome(todo[len(lines)], wrong=[reason]))
            print(f"{len(done)} of {len(families)}", file=sys.stderr, flush=True)
    return done


def page(results: Sequence[Outcome]) -> str:
    """The page of the manual."""
    import transformers

    counts = Counter(outcome.path for outcome in results)
    intro = INTRO.format(
        version=transformers.__version__,
        date=date.today().isoformat(),
        fast=counts["fast"],
        plain=counts["plain"],
        refused=counts["refused"],
        not_made=counts["not made"],
        trains=sum(outcome.trains for outcome in results),
    )
    return intro + "\n".join(outcome.row() for outcome in results) + "\n"


def main() -> int:
    """Try all families and write the page; with ``--only``, some, and print their rows."""
    from tests.models.families import names

    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--only", help="some families, NAME,…: their rows are printed, nothing is written")
    arguments.add_argument("--work", help=argparse.SUPPRESS)
    asked = arguments.parse_args()
    if asked.work:
        work(asked.work.split(","))
        return 0
    results = outcomes(asked.only.split(",") if asked.only else names())
    if asked.only:
        print("\n".join(outcome.row() for outcome in results))
    else:
        PAGE.write_text(page(results), encoding="utf-8")
    for outcome in results:
        for problem in outcome.wrong:
            print(f"wrong: {outcome.family}: {problem}", file=sys.stderr)
        for note in outcome.notes:
            print(f"{outcome.family}: {note}", file=sys.stderr)
    return int(any(outcome.wrong for outcome in results))


if __name__ == "__main__":
    sys.exit(main())
