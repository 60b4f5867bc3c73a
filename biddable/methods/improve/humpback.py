"""Humpback: self-alignment with instruction backtranslation (Li et al., ICLR 2024, arXiv 2308.06259)."""

from __future__ import annotations

from collections.abc import Sequence

from biddable.experiments.stages import Answers, Weights
from biddable.models.base import Sampling
from biddable.models.lazy import LazyModel
from biddable.runs.run import Run
from biddable.types import Chat, Message, user

BACKTRANSLATE = (
    "Below is a text that somebody wrote on request. Write the request, in one or two sentences, "
    "with everything it must have asked for.\n\n<text>\n{text}\n</text>"
)


def passing_texts(answers: Answers) -> list[str]:
    """The first answer that passed, of each task that has any."""
    return [
        next(text for text, verdict in zip(texts, verdicts, strict=True) if verdict.passed)
        for texts, verdicts in zip(answers.texts, answers.verdicts, strict=True)
        if any(verdict.passed for verdict in verdicts)
    ]


def curated(run: Run, name: str, weights: Weights, texts: Sequence[str]) -> list[Chat]:
    """Texts with instructions written back for them, of which the better half is kept.

    Kept is the half to which the model, given the instruction, gives the higher likelihood per token: its
    stand-in for the paper's 5-point rating, which a small model cannot give.
    """
    model = LazyModel(weights)

    def backtranslate() -> list[tuple[str, float]]:
        greedy = Sampling(max_tokens=64, temperature=0.0)
        chats = [user(BACKTRANSLATE.format(text=text)) for text in texts]
        rows = model().generate(chats, sampling=greedy)
        requests = [samples[0].text.strip() or "Write a text." for samples in rows]
        scores = model().score([user(request) for request in requests], texts)
        return [(request, s.total / len(s.logprobs)) for request, s in zip(requests, scores, strict=True)]

    written = run.stage(name, backtranslate, list[tuple[str, float]])
    order = sorted(range(len(texts)), key=lambda i: -written[i][1])[: max(1, len(texts) // 2)]
    return [(*user(written[i][0]), Message("assistant", texts[i])) for i in order]
