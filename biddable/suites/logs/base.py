"""What a log is, whoever wrote it, and what its readers share."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any

_IDS = ("key", "id", "task_id", "question_id", "qid")
_GROUPS = ("group", "subject", "category", "subset")
_LARGEST = 1e100
_PROMPTS = ("prompt", "question", "instruction", "query", "input")


@dataclass(frozen=True, slots=True)
class Logged:
    """One item of a log.

    An item is found in another log by its id, else by its document, its prompt or its place.

    Attributes:
        position: its place among the benchmark's items, from 0.
        metrics: a number for each metric that scored it.
        weights: what a metric's number weighs in the mean, where that is not 1.
        id: the benchmark's own name of it; empty where there is none.
        document: a digest of all that the benchmark says of it; empty where it is not known.
        prompt: the text that was asked; empty where it is not known.
        response: what the model said.
        references: right answers, where they are known.
        group: what it is reported under.
        source: what it shares with items that it is not independent of.
        unparsable: nothing could be read from the response.
    """

    position: int
    metrics: dict[str, float]
    weights: dict[str, float] = field(default_factory=dict)
    id: str = ""
    document: str = ""
    prompt: str = ""
    response: str = ""
    references: tuple[str, ...] = ()
    group: str = ""
    source: str = ""
    unparsable: bool = False


@dataclass(frozen=True, slots=True)
class Log:
    """What one model was scored with, item by item.

    Attributes:
        name: the model's, where it is known, else the file's.
        path: where the log is.
        suite: what was measured; empty where it is not known.
        kind: which tool wrote it.
        items: in the order of the log.
        settings: how the model was asked and scored, as far as the log says.
        notes: what a reader must know of the log.
    """

    name: str
    path: str
    suite: str
    kind: str
    items: tuple[Logged, ...] = field(repr=False)
    settings: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def metrics(self) -> list[str]:
        """Every metric that scored an item, in order."""
        return list(dict.fromkeys(name for item in self.items for name in item.metrics))


def merged(items: Sequence[Logged], keys: Sequence[Any]) -> tuple[list[Logged], int]:
    """Items with one key (an item that was asked several times) as one, with the mean of each metric.

    Returns the items, the first response of each, and how many of them were asked several times.
    """
    samples: defaultdict[Any, list[Logged]] = defaultdict(list)
    for key, item in zip(keys, items, strict=True):
        samples[key].append(item)
    repeated = sum(len(each) > 1 for each in samples.values())
    return [_mean(each) for each in samples.values()], repeated


def _mean(samples: Sequence[Logged]) -> Logged:
    if len(samples) == 1:
        return samples[0]
    names = dict.fromkeys(name for sample in samples for name in sample.metrics)
    values = {name: [each.metrics[name] for each in samples if name in each.metrics] for name in names}
    means = {name: fmean(numbers) for name, numbers in values.items()}
    weights = {name: weight for each in reversed(samples) for name, weight in each.weights.items()}
    unparsable = all(each.unparsable for each in samples)
    return replace(samples[0], metrics=means, weights=weights, unparsable=unparsable)


def named(values: Mapping[str, Any], names: Iterable[str]) -> str:
    """The first of these fields that holds a text or an integer, as a text; else nothing."""
    for name in names:
        value = values.get(name)
        if isinstance(value, str | int) and not isinstance(value, bool) and str(value).strip():
            return str(value)
    return ""


def id_of(values: Mapping[str, Any]) -> str:
    """The id that a benchmark's row has of its own."""
    return named(values, _IDS)


def group_of(values: Mapping[str, Any]) -> str:
    """What a benchmark's row is reported under."""
    return named(values, _GROUPS)


def prompt_of(values: Mapping[str, Any]) -> str:
    """The text that a benchmark's row asks."""
    return named(values, _PROMPTS)


def as_number(value: Any) -> float | None:
    """A number that can be squared, or a truth value, as a number; None for anything else."""
    if isinstance(value, bool | int | float) and abs(value) < _LARGEST:
        return float(value)
    return None


def text_of(content: Any) -> str:
    """The text of a message's content, which is one or is made of parts."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    texts = [part.get("text") for part in parts if isinstance(part, dict)]
    return "\n".join(text for text in texts if isinstance(text, str))


def asked_of(messages: Any) -> str:
    """The text of the last user's turn of a chat."""
    turns = messages if isinstance(messages, list) else []
    asked = [turn for turn in turns if isinstance(turn, dict) and turn.get("role") == "user"]
    return text_of(asked[-1].get("content")) if asked else ""


def counted(n: int, noun: str) -> str:
    """``1 item``, ``2 items``."""
    return f"{n:,} {noun}{'s' * (n != 1)}"
