"""A parser of instructions: fitted to frames of robot tasks, kept as safetensors and JSON, and used.

::

    parser = load_parser("runs/tage")
    parser(["take the book and put it on the shelf"])     # [[TaskFrame("picking", "take", …), …]]
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import TypeAdapter, ValidationError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from biddable.errors import FileError, InputError, ModelError
from biddable.judges.frames import argument_counts
from biddable.models.load import model_identity
from biddable.models.token_states import word_states
from biddable.policies.frame_batches import as_batch, flat_frames, object_of, on
from biddable.policies.frame_config import Kind, Labels, ParserConfig, States
from biddable.policies.frame_networks import FlatDecoder, NestedDecoder, WordEncoder
from biddable.runs.codec import first_problem
from biddable.runs.files import read_json, write_json
from biddable.runs.folder import artifact_of
from biddable.tasks.frames import Argument, InstructionExample, Span, TaskFrame, words_of

FORMAT = "biddable frame parser 1"
PREDICTED_AT_ONCE = 64
ALIKE = 8
"""Steps whose examples are sorted by length among each other, which saves padding."""


# -- the parser ----------------------------------------------------------------------------------------------


class FrameParser:
    """Reads tasks off instructions.

    Attributes:
        kind: "nested" or "flat".
        encoder: the model whose states it reads, as ``load_model`` takes it; layer, echo: which states.
        labels, config: what it tells apart, and how it is built.
    """

    def __init__(
        self,
        kind: Kind,
        labels: Labels,
        config: ParserConfig,
        standard: tuple[Tensor, Tensor],
        *,
        encoder: str = "",
        layer: int = 0,
        echo: bool = False,
    ):
        if config.width % 2:
            raise InputError("width", config.width, "an even number")
        self.kind, self.labels, self.config = kind, labels, config
        self.encoder, self.layer, self.echo = encoder, layer, echo
        words, width = WordEncoder(*standard, config.width, config.dropout), config.width
        self.network: NestedDecoder | FlatDecoder
        if kind == "nested":
            sizes = len(labels.skills), len(labels.roles), 2 * len(labels.objects) + 1
            self.network = NestedDecoder(words, width, *sizes, config.dropout)
        else:
            self.network = FlatDecoder(words, width, len(labels.symbols), config.dropout)
        self.network.to("cuda" if torch.cuda.is_available() else "cpu")

    @property
    def parameters(self) -> int:
        """Numbers that are learned."""
        return sum(each.numel() for each in self.network.parameters())

    def parse(self, sentences: Sequence[Sequence[str]], states: States) -> list[tuple[TaskFrame, ...]]:
        """The tasks of sentences, given as words with their states."""
        self.network.eval()
        device = next(self.network.parameters()).device
        found: list[tuple[TaskFrame, ...]] = []
        for start in range(0, len(sentences), PREDICTED_AT_ONCE):
            places = range(start, min(start + PREDICTED_AT_ONCE, len(sentences)))
            batch = on(as_batch([states[i] for i in places], (), self.labels), device)
            if isinstance(self.network, NestedDecoder):
                limits = self.config.max_tasks, self.config.max_arguments
                decoded = self.network.decode(batch, *limits)
                found += [self._frames(sentences[i], *of) for i, of in zip(places, decoded, strict=True)]
            else:
                symbols = self.network.decode(batch, self.config.max_symbols)
                pairs = zip(places, symbols, strict=True)
                found += [flat_frames(of, sentences[i], self.labels) for i, of in pairs]
        return found

    def _frames(self, words: Sequence[str], tasks: Any, tags: Sequence[int]) -> tuple[TaskFrame, ...]:
        def text(start: int, end: int) -> str:
            return " ".join(words[start : end + 1])

        return tuple(
            TaskFrame(
                self.labels.skills[skill - 1],
                text(first, last),
                tuple(
                    Argument(
                        self.labels.roles[role - 1],
                        text(start, end),
                        object_of(tags[start : end + 1], self.labels),
                        Span(start, end),
                    )
                    for role, start, end in arguments
                ),
                Span(first, last),
            )
            for skill, first, last, arguments in tasks
        )

    def __call__(self, instructions: Sequence[str], model: Any = None) -> list[tuple[TaskFrame, ...]]:
        """The tasks of instructions.

        Args:
            instructions: texts.
            model: the model of ``encoder``, where it is loaded already.

        Raises:
            InputError: an instruction that is blank, no text, or longer than the encoder's context.
            ModelError: the encoder is not there.
        """
        words = [words_of(each) for each in instructions]
        if model is None:
            from biddable.models.load import load_trainable

            model = load_trainable(self.encoder, lora_rank=1)
        return self.parse(words, word_states(model, words, self.layer, echo=self.echo))

    def save(self, folder: Path) -> None:
        """Write ``parser.safetensors`` and ``parser.json`` into a folder."""
        save_file(self.network.state_dict(), folder / "parser.safetensors")
        told = {
            "format": FORMAT,
            "kind": self.kind,
            "labels": asdict(self.labels),
            "config": asdict(self.config),
            **{"encoder": self.encoder, "layer": self.layer, "echo": self.echo},
            "encoder_weights": model_identity(self.encoder) if self.encoder else "",
        }
        write_json(folder / "parser.json", told)


@dataclass(frozen=True, slots=True)
class _Card:
    format: Literal["biddable frame parser 1"]
    kind: Kind
    labels: Labels
    config: ParserConfig
    encoder: str
    layer: int
    echo: bool
    encoder_weights: str


def load_parser(source: str | Path) -> FrameParser:
    """A parser of a run, or of a folder that holds ``parser.json`` and ``parser.safetensors``.

    Raises:
        FileError: there is none, or its files are damaged.
        ModelError: its encoder is another model by now.
    """
    folder = artifact_of(source, "parser")
    try:
        card = TypeAdapter(_Card).validate_python(read_json(folder / "parser.json"))
    except ValidationError as error:
        place, problem = first_problem(error)
        raise FileError(folder / "parser.json", f"{'.'.join(map(str, place))}: {problem}") from None
    path = folder / "parser.safetensors"
    try:
        weights = load_file(path)
        standard = weights["encoder.mean"], weights["encoder.std"]
        how: dict[str, Any] = {"encoder": card.encoder, "layer": card.layer, "echo": card.echo}
        parser = FrameParser(card.kind, card.labels, card.config, standard, **how)
        parser.network.load_state_dict(weights)
    except Exception as error:  # whatever safetensors and torch raise for a file cut short or of another size
        raise FileError(path, f"no weights of such a parser: {error}") from None
    if card.encoder and model_identity(card.encoder) != card.encoder_weights:
        raise ModelError(f"{folder}: was fitted to the states of another {card.encoder} than is there now")
    return parser


# -- fitting -------------------------------------------------------------------------------------------------


def fit(
    parser: FrameParser,
    examples: Sequence[InstructionExample],
    states: States,
    validation: Sequence[InstructionExample],
    validation_states: States,
    seed: int,
    log: Callable[[int, float, float | None], None] = lambda epoch, loss, f1: None,
) -> float:
    """Fit a parser's network; the weights of the epoch with the best F1 on validation rows are kept.

    Args:
        parser: made with labels that hold all of the examples'; its weights are drawn anew.
        examples, states: what it learns from.
        validation, validation_states: what the epoch is chosen by.
        seed: of the first weights, the order and the dropout.
        log: is told the epoch, the mean loss and, in the second half, F1 of the validation rows.

    Returns:
        the best F1.
    """
    config, network = parser.config, parser.network
    device = next(network.parameters()).device
    order = np.random.default_rng(seed)
    best, kept = -1.0, {name: each.clone() for name, each in network.state_dict().items()}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for module in network.modules():
            if isinstance(module, (nn.Linear, nn.GRU, nn.Embedding)):
                module.reset_parameters()
        optimizer = torch.optim.Adam(network.parameters(), lr=config.lr)
        steps = config.epochs * len(_steps([0] * len(examples), config.batch_size, np.random.default_rng()))
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / steps)
        for epoch in range(1, config.epochs + 1):
            network.train()
            losses = []
            for rows in _steps([len(each.words) for each in examples], config.batch_size, order):
                batch = as_batch([states[i] for i in rows], [examples[i] for i in rows], parser.labels)
                loss = network.loss(on(batch, device))
                optimizer.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(network.parameters(), config.max_grad_norm)
                optimizer.step()
                schedule.step()
                losses.append(loss.item())
            if 2 * epoch < config.epochs:  # too early to be the best: not looked at
                log(epoch, float(np.mean(losses)), None)
                continue
            f1 = _f1(parser, validation, validation_states)
            log(epoch, float(np.mean(losses)), f1)
            if f1 > best:
                best, kept = f1, {name: each.clone() for name, each in network.state_dict().items()}
    network.load_state_dict(kept)
    return best


def _steps(lengths: Sequence[int], size: int, order: np.random.Generator) -> list[list[int]]:
    """Places of the examples of each step of an epoch, drawn so that those of like length go together."""
    drawn = order.permutation(len(lengths)).tolist()
    chunk = ALIKE * size
    parts = [sorted(drawn[at : at + chunk], key=lambda i: lengths[i]) for at in range(0, len(drawn), chunk)]
    steps = [part[at : at + size] for part in parts for at in range(0, len(part), size)]
    return [steps[i] for i in order.permutation(len(steps))]


def _f1(parser: FrameParser, rows: Sequence[InstructionExample], states: States) -> float:
    """F1 of arguments with their object classes, so that neither half of the work is chosen against."""
    found = parser.parse([each.words for each in rows], states)
    counts = [argument_counts(ours, row.tasks, grounding=True) for ours, row in zip(found, rows, strict=True)]
    scores = sum(counts[1:], counts[0]).scores()
    return scores["f1"]


def standard_of(states: States) -> tuple[Tensor, Tensor]:
    """Mean and deviation [D] of the words of sentences, which states are standardised by."""
    words = np.concatenate(states).astype(np.float32)
    return torch.from_numpy(words.mean(0)), torch.from_numpy(words.std(0)).clamp(min=1e-3)


__all__ = ["FrameParser", "Labels", "ParserConfig", "fit", "load_parser", "standard_of"]
