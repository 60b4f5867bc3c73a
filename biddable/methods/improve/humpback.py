"""Humpback: self-alignment with instruction backtranslation (Li et al., ICLR 2024, arXiv 2308.06259).

The world is full of good texts that nobody asked for. A model trained backwards writes the request that each
could have answered, the model itself chooses the pairs that are good, and learns from them.

Claim: LLaMA aligned so, from 3,200 written examples and 502,000 texts of the web, wins 83.7 % (65B) of
AlpacaEval against text-davinci-003, more than any LLaMA that was not distilled; without curation, more texts
do not help.

The steps:

1. seed: pairs of a request and a good answer;
2. the backward model learns to write the request from the answer (``backward_lessons``);
3. augmentation: it writes a request for each unlabelled text (``--texts``);
4. curation: the better half by the model's own rating (``curated``);
5. fine-tuning of the model as it came on seed and curated pairs; curation again, by the new model;
6. beside it the same with the seed alone, and with as many pairs that were not curated.

Departures from the paper, and why:

* *The seed* are the model's own answers that pass their tasks' checks; the paper's were written by people.
  Without ``--texts``, so are the unlabelled texts, from other tasks, their requests put aside: enough to see
  everything work, and no new knowledge.
* *The rating* is the likelihood per token that a model gives to the text after the request; one of 135M
  parameters cannot give the paper's 1 to 5 points.
* *System prompts* that tell the seed from the texts of the web are left out: here both are short.
* *Few texts*: fine-tuned on a dozen, this model soon loops; the rate is low, and was not tuned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field

from biddable.config import Count, settings
from biddable.errors import InputError
from biddable.experiments.figures import losses
from biddable.experiments.instructions import BASE, LARGE, SMOKE, InstructionSettings
from biddable.experiments.stages import (
    Answers,
    Weights,
    answered,
    finetuned,
    publish_conversations,
    with_seed,
)
from biddable.experiments.teaching import require
from biddable.judges.answer import AnswerJudge
from biddable.methods.base import About
from biddable.methods.instruction import InstructionMethod
from biddable.models.base import Sampling
from biddable.models.lazy import LazyModel
from biddable.runs.figures import Table
from biddable.runs.results import Results
from biddable.runs.run import Run
from biddable.tasks.data import read_prompts
from biddable.train.config import SftConfig
from biddable.types import Chat, Message, Task, exchange, user

BACKTRANSLATE = (
    "Below is a text that somebody wrote on request. Write the request, in one or two sentences, "
    "with everything it must have asked for.\n\n<text>\n{text}\n</text>"
)


def passing_texts(answers: Answers) -> list[str]:
    """The first answer that passed, of each task that has any."""
    return [chat[-1].content for chat in passing_chats(answers)]


def passing_chats(answers: Answers) -> list[Chat]:
    """Step 1: the same with its task."""
    first = {task.id: (task, text) for task, text, verdict in reversed(answers.flat()) if verdict.passed}
    rows = [first[task.id] for task in answers.tasks if task.id in first]
    return [exchange(task.prompt, text) for task, text in rows]


def backward_lessons(seed: Sequence[Chat]) -> list[Chat]:
    """Step 2: the request as what is to be said of the answer; of longer chats the last request."""
    return [
        (*user(BACKTRANSLATE.format(text=answer.content)), Message("assistant", request.content))
        for *_, request, answer in seed
    ]


def backtranslated(run: Run, name: str, weights: Weights, texts: Sequence[str]) -> list[str]:
    """Step 3: a request for each text."""
    greedy = Sampling(max_tokens=64, temperature=0.0)

    def write(batch: list[str]) -> list[str]:
        chats = [user(BACKTRANSLATE.format(text=text)) for text in batch]
        rows = LazyModel(weights)().generate(chats, sampling=greedy)
        return [samples[0].text.strip() or "Write a text." for samples in rows]

    return run.stage(name, lambda: write(list(texts)), list[str])


def curated(
    run: Run,
    name: str,
    weights: Weights,
    texts: Sequence[str],
    requests: Sequence[str] | None = None,
    share: float = 0.5,
) -> list[Chat]:
    """Step 4: texts with their requests, of which the better part is kept, the best first.

    Kept is the part to which the model, given the request, gives the higher likelihood per token.

    Args:
        run: the run.
        name: of the stages.
        weights: the model that rates, and that writes the requests where none are given.
        texts: what was found.
        requests: one for each text.
        share: how much is kept.
    """
    if requests is None:
        requests = backtranslated(run, f"{name}-written", weights, texts)
    asked = list(requests)

    def rate() -> list[float]:
        scores = LazyModel(weights)().score([user(request) for request in asked], texts)
        return [each.total / len(each.logprobs) for each in scores]

    ratings = run.stage(name, rate, list[float])
    kept = sorted(range(len(texts)), key=lambda i: -ratings[i])[: max(1, int(len(texts) * share))]
    return [(*user(asked[i]), Message("assistant", texts[i])) for i in kept]


def read_texts(source: Path) -> list[str]:
    """Unlabelled texts: rows with a column ``text``, or what a folder or data set of such holds.

    Raises:
        InputError: rows that hold requests or chats.
        FileError: the source cannot be read.
    """
    prompts = read_prompts(source)
    texts = [prompt.strip() for prompt in prompts if isinstance(prompt, str)]
    if len(texts) < len(prompts):
        raise InputError("texts", str(source), "rows with a column text, which is what was written")
    return list(dict.fromkeys(filter(None, texts)))


@settings
class HumpbackConfig(InstructionSettings):
    """Settings of Humpback; the paper's values are named where 2 cores ask for others."""

    texts: Path | None = None
    """Unlabelled texts (rows with a column text); the model's own passing answers where none are named."""
    max_chars: Count = 1500
    """Longer texts are left out."""
    prompts: Count = 100
    """Tasks whose passing answers are the seed, and as many again for texts where none are named."""
    samples: Count = 4
    """Answers to each of them."""
    sampling: Sampling = Sampling(max_tokens=80, temperature=0.9, top_p=0.9)
    """How they are drawn."""
    rounds: Count = 2
    """Times that pairs are curated, each by the model of the round before (paper: 2)."""
    share: Annotated[float, Field(gt=0, le=1)] = 0.5
    """How much curation keeps (paper: the pairs that the model rates best of 5 points)."""
    sft: SftConfig = SftConfig(lr=2e-5)
    """How the model is trained."""
    backward: SftConfig = SftConfig(lr=1e-4, epochs=2)
    """How the backward model is trained."""


class Humpback(InstructionMethod):
    """Humpback (see ``biddable.methods.improve.humpback``)."""

    about = About(
        title="Humpback: requests written for texts that nobody asked for",
        citation="Li et al., ICLR 2024, arXiv 2308.06259",
        claim=(
            "Fine-tuning on texts for which a backward model wrote the requests, curated by the model "
            "itself, makes it follow instructions better than the seed examples alone, and than the same "
            "number of pairs without curation (LLaMA 65B, AlpacaEval: 83.7 %)."
        ),
        needs="a chat model whose weights can be trained; smollm2 runs on 2 CPU cores",
        minutes={"smoke": "1 (2 cores)", "default": "8 (1 core)", "full": "not measured"},
        takes="a chat model (--model), texts without requests (--texts), prompts with their checks (--tasks)",
        leaves="the trained model (artifacts/model), the backward model (artifacts/backward), the "
        "conversations it learned from (artifacts/data)",
    )
    Config = HumpbackConfig
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "smoke": {**SMOKE, "sampling.max_tokens": 32, "prompts": 12, "samples": 3, "rounds": 1},
        "full": {"prompts": 400, "seeds": 3, "test.tasks": 200, "test.held_out": 80},
        "gpu": {**LARGE, "sampling.max_tokens": 512, "max_chars": 4000, "prompts": 3000},
    }
    only: ClassVar = {**InstructionMethod.only, "texts": ("max_chars",)}
    config: HumpbackConfig

    @property
    def arms(self) -> list[str]:
        """See ``InstructionMethod.arms``."""
        return [BASE, SEED, UNCURATED, HUMPBACK]

    def check(self) -> None:
        """See ``Method.check``: the texts too."""
        super().check()
        if self.config.texts is not None:
            self._texts(self.config.texts)

    def run(self, run: Run) -> Results:
        """See ``Method.run``."""
        config, measured = self.config, self.begin(run)
        numbers = {}
        for seed in self.seeds(run):
            name = f"seed{seed}"
            examples, texts = self._data(run, name, seed)
            sft = with_seed(config.sft, seed)
            lessons = backward_lessons(examples)
            backward = finetuned(
                run, f"{name}-backward", config.model, lessons, with_seed(config.backward, seed)
            )
            requests = backtranslated(run, f"{name}-requests", backward, texts)
            only_seed = finetuned(run, f"{name}-{SEED}", config.model, examples, sft)
            model: Path = only_seed
            for number in range(1, config.rounds + 1):
                pairs = curated(run, f"{name}-ratings{number}", model, texts, requests, config.share)
                stage = f"{name}-{HUMPBACK}{number}"
                model = finetuned(run, stage, config.model, [*examples, *pairs], sft)
            drawn = run.rng(name, UNCURATED).permutation(len(texts))[: len(pairs)]
            others: list[Chat] = [(*user(requests[i]), Message("assistant", texts[i])) for i in drawn]
            uncurated = finetuned(run, f"{name}-{UNCURATED}", config.model, [*examples, *others], sft)
            for arm, weights in zip(self.arms[1:], (only_seed, uncurated, model), strict=True):
                measured.add(arm, weights, seed=seed)
            numbers[name] = {"seed": len(examples), "texts": len(texts), "curated": len(pairs)}

        stages = {f"{name}-backward": "backward", f"{name}-{SEED}": SEED, stage: HUMPBACK}
        read = Table("Requests written for texts", ("request", "text"), tuple(map(_shown, pairs[:12])))
        publish_conversations(run, [*examples, *pairs])
        return self.finish(
            run,
            measured,
            [(arm, HUMPBACK) for arm in (BASE, SEED, UNCURATED)],
            figures=[*measured.figures(HUMPBACK), *losses(run, stages), read],
            models={"model": model, "backward": backward},
            metrics={"data": numbers},
        )

    def _data(self, run: Run, name: str, seed: int) -> tuple[list[Chat], list[str]]:
        """Step 1: the seed, and unlabelled texts."""
        config = self.config
        wanted = config.prompts if config.texts else 2 * config.prompts
        tasks = self.instructions.train(seed, wanted)

        def passing(part: str, tasks: list[Task]) -> list[Chat]:
            stage, how = f"{name}-{part}", (config.samples, config.sampling, AnswerJudge())
            chats = passing_chats(answered(run, stage, config.model, tasks, *how))
            require(chats, f"passing answers for the {part}")
            return chats

        examples = passing("seed", tasks[: config.prompts])
        if config.texts is not None:
            return examples, self._texts(config.texts)
        return examples, [chat[-1].content for chat in passing("texts", tasks[config.prompts :])]

    def _texts(self, source: Path) -> list[str]:
        """The user's texts that are not too long."""
        texts = [text for text in read_texts(source) if len(text) <= self.config.max_chars]
        if len(texts) < 2:
            expected = f"at least two different texts of at most {self.config.max_chars} characters"
            raise InputError("texts", str(source), expected)
        return texts


SEED, UNCURATED, HUMPBACK = "seed-only", "uncurated", "humpback"


def _shown(chat: Chat) -> tuple[str, str]:
    return chat[-2].content, chat[-1].content
