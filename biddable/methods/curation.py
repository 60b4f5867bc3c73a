"""Making a data set better in a run folder: what cannot be used is dropped, each row with a reason.

The steps come in a fixed order: what costs little and is certain first.

1. read: rows that cannot be read (``skip_bad``)
2. length: nothing to learn, too few or too many words or tokens
3. degenerate: responses that repeat themselves, copy the prompt or say nothing
4. exact: the same row again
5. one answer: another response to the same prompt
6. near: a prompt that is near to an earlier one
7. contamination: a part of a task of a suite
8. judge: a judge does not think enough of the response
9. mixture: not drawn

What is left is divided, so that no prompt that is held out is near to one that is learned.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

import numpy as np

from biddable.errors import InputError
from biddable.experiments.curated import curated_figures
from biddable.judges.degenerate import degeneracy
from biddable.judges.load import load_judge
from biddable.methods.base import show
from biddable.methods.curation_config import SETTLED, DataConfig
from biddable.runs.codec import digest, jsonable
from biddable.runs.folder import ChangedRun, first_difference, told
from biddable.runs.progress import progress
from biddable.runs.results import Results
from biddable.runs.run import Run
from biddable.tasks.data import Kind, Unreadable, split, write_conversations, write_preferences
from biddable.tasks.frameworks import FRAMEWORKS
from biddable.tasks.neighbours import (
    Compare,
    Near,
    Words,
    by_vectors,
    clusters,
    contaminated,
    duplicates,
)
from biddable.tasks.steps import Drop, Funnel, mixed
from biddable.tasks.views import Row, marks, opening, prompt_of_row, responses, texts, word_counts
from biddable.types import Preference, Response, Task, Verdict

NEAR = 0.7
"""From where on prompts count as near where only the division asks."""
JUDGED = 64
"""Responses that a judge is given at once."""
ENCODED = 512
"""Prompts that are made vectors at once."""


@dataclass
class Curation:
    """The steps of one run.

    Attributes:
        run: where they are kept.
        config: which are taken.
        kind: what the rows are.
        funnel: the rows, some of them ``Unreadable``.
        source_of: the source of each, by id.
        tasks: by suite the prompts of its tasks, by their ids.
        counter: how many tokens a row has, or why it cannot be rendered; None: nobody asks.
        encode: sentence vectors; None: prompts are compared by words.
    """

    run: Run
    config: DataConfig
    kind: Kind
    funnel: Funnel[Row]
    source_of: Mapping[str, str]
    tasks: Mapping[str, Mapping[str, str]]
    counter: Callable[[Row], int | str] | None = None
    encode: Callable[[Sequence[str]], Any] | None = None
    compare: Compare = field(default_factory=Words)
    scores: Mapping[str, float] = field(default_factory=dict)

    def finish(self) -> Results:
        """Take the steps, write what is left and what is not, and tell of it."""
        run, funnel = self.run, self.funnel
        bad = [
            Drop(row.reason, str(row.error)) if isinstance(row, Unreadable) else row for row in funnel.rows
        ]
        funnel.apply("read", bad)
        self._by_length()
        self._by_response()
        self.compare = self._measure()
        self._by_prompt()
        self._by_task()
        self.scores = self._by_judge()
        self._draw()
        learned, held = self._divided()
        self._settle()
        self._write(learned, held)
        show(run, curated_figures(funnel, self.source_of, {*held}, self.compare, self.scores))
        numbers = [sum(word_counts(funnel.kept[name])) for name in learned]
        rows = {"read": len(self.source_of), "kept": len(learned), "held_out": len(held)}
        metrics = {
            "rows": rows | {"dropped": len(funnel.dropped)},
            "words_learned": {"all": sum(numbers), "mean": float(np.mean(numbers)) if numbers else 0.0},
            "steps": funnel.counts(),
        }
        notes = [*self._shares(learned, held), *([] if learned else ["No row is left to learn from."])]
        train = "sft" if self.kind == "conversations" else "dpo"
        steps = [f"biddable train {train} MODEL --data {{run}} --out FOLDER"]
        steps += [f"biddable export {{run}} FOLDER --for {name}" for name in FRAMEWORKS]
        return run.finish([], metrics=metrics, notes=notes, next_steps=steps if learned else ())

    def _by_length(self) -> None:
        config, funnel = self.config, self.funnel
        learns = [isinstance(row, Preference) or any(row.trained) for row in funnel.rows]
        if all(learns) and not (config.min_words or config.max_words or config.max_tokens):
            return
        tokens: list[int | str] = [0] * len(learns)
        if (count := self.counter) is not None:
            tokens = self.run.stage("tokens", lambda: [count(row) for row in funnel.rows], list[int | str])

        def measured(row: Row, learned: bool, length: int | str) -> Row | Drop:
            numbers = word_counts(row) if learned else [0]
            if not learned:
                return Drop("nothing in it is learned")
            if min(numbers) < config.min_words:
                return Drop("too few words", str(min(numbers)))
            if config.max_words is not None and max(numbers) > config.max_words:
                return Drop("too many words", str(max(numbers)))
            if isinstance(length, str):
                return Drop("refused by the chat template", length)
            if config.max_tokens is not None and length > config.max_tokens:
                return Drop("too many tokens", str(length))
            return row

        funnel.apply("length", [measured(*each) for each in zip(funnel.rows, learns, tokens, strict=True)])

    def _by_response(self) -> None:
        """Degenerate responses, the same row again, another response to the same prompt."""
        config, funnel = self.config, self.funnel
        if config.degenerate:
            found = [[degeneracy(*each) for each in responses(row)] for row in funnel.rows]
            faults = [next(filter(None, each), "") for each in found]
            rows = zip(funnel.rows, faults, strict=True)
            funnel.apply("degenerate", [Drop(_reason(fault)) if fault else row for row, fault in rows])
        if config.exact:
            same = "the same as an earlier row"
            self._first_of("exact", same, lambda row: [*texts(row), *marks(row)])
        if config.one_answer:
            same = "another response to the same prompt"
            self._first_of("one answer", same, lambda row: [turn.content for turn in opening(row)])

    def _first_of(self, step: str, reason: str, key: Callable[[Row], Sequence[str]]) -> None:
        """Keep the first of rows with the same texts, but for blanks."""
        first: dict[tuple[str, ...], str] = {}
        results: list[Row | Drop] = []
        for name, row in self.funnel.kept.items():
            earlier = first.setdefault(tuple(" ".join(text.split()) for text in key(row)), name)
            results.append(row if earlier == name else Drop(reason, like=earlier))
        self.funnel.apply(step, results)

    def _measure(self) -> Compare:
        """How prompts are compared: by words, or by vectors, which are computed once."""
        if (encode := self.encode) is None:
            return Words()
        every = [*self.funnel.rows, *(each.row for each in self.funnel.dropped if each.step != "read")]
        prompts = list(dict.fromkeys(map(prompt_of_row, every)))

        def encoded(folder: Any) -> None:
            with progress(len(prompts), "vectors") as advance:
                parts = []
                for start in range(0, len(prompts), ENCODED):
                    parts.append(encode(prompts[start : start + ENCODED]))
                    advance(len(parts[-1]))
            np.save(folder / "vectors.npy", np.concatenate(parts))

        if not prompts:
            return Words()
        vectors = np.load(self.run.stage_folder("vectors", encoded) / "vectors.npy", allow_pickle=False)
        places = {prompt: place for place, prompt in enumerate(prompts)}
        return by_vectors(lambda some: vectors[[places[text] for text in some]])

    def _by_prompt(self) -> None:
        if (threshold := self.config.near) is None:
            return
        prompts, ids = list(map(prompt_of_row, self.funnel.rows)), self.funnel.ids

        def sought() -> list[Near | None]:
            with progress(len(prompts), "near prompts") as advance:
                return duplicates(prompts, threshold, self.compare, advance=advance)

        found = self.run.stage("near", sought, list[Near | None])
        self.funnel.apply(
            "near",
            [
                row if near is None else Drop("a near prompt", f"{near.similarity:.2f}", ids[near.place])
                for row, near in zip(self.funnel.rows, found, strict=True)
            ],
        )

    def _by_task(self) -> None:
        if not self.tasks:
            return
        rows = [texts(row) for row in self.funnel.rows]
        results: list[Row | Drop] = list(self.funnel.rows)
        for spec, tasks in self.tasks.items():
            for place, hit in enumerate(contaminated(rows, tasks, n=self.config.ngram)):
                if hit and not isinstance(results[place], Drop):
                    results[place] = Drop(f"a task of {spec}", f"{hit[0]}: {hit[1]}")
        self.funnel.apply("contamination", results)

    def _by_judge(self) -> dict[str, float]:
        """The score of each row that was judged."""
        config, funnel = self.config, self.funnel
        if not config.judge:
            return {}
        items = [
            (Task(name, opening(row)), responses(row)[-1][1], self.run.seed("judge", name))
            for name, row in funnel.kept.items()
        ]
        judge = partial(_judged, config.judge, config.min_score is None)
        verdicts = self.run.map("judge", items, judge, Verdict, JUDGED)
        scores = {
            name: each.score
            for name, each in zip(funnel.ids, verdicts, strict=True)
            if each.score is not None
        }
        rows = zip(funnel.rows, verdicts, strict=True)
        funnel.apply("judge", [self._passed(row, verdict) for row, verdict in rows])
        return scores

    def _passed(self, row: Row, verdict: Verdict) -> Row | Drop:
        least, said = self.config.min_score, verdict.critique
        if least is not None:
            if verdict.score is None:
                return Drop("the judge gave no score", said)
            low = f"{verdict.score:.3g}" + (f": {said}" if said else "")
            return Drop(f"a score below {least:g}", low) if verdict.score < least else row
        if verdict.passed is None:
            return Drop("the judge did not decide", said)
        return row if verdict.passed else Drop("not passed by the judge", said)

    def _draw(self) -> None:
        """As many rows of each source as the mixture says."""
        if self.config.mix or self.config.rows is not None:
            ids = drawn(self.config, self.funnel.ids, self.source_of, self.run.seed("mixture"))
            self.funnel.select("mixture", ids, "not drawn")

    def _divided(self) -> tuple[list[str], list[str]]:
        """The ids of the rows to learn from, and of those held out."""
        config, ids = self.config, self.funnel.ids
        if not config.held_out:
            return ids, []
        prompts = list(map(prompt_of_row, self.funnel.rows))

        def sought() -> list[int]:
            with progress(len(prompts), "near groups") as advance:
                return clusters(prompts, config.near or NEAR, self.compare, advance=advance)

        # Another mixture has other groups.
        groups = self.run.stage(f"groups-{digest(ids)[:12]}", sought, list[int])
        if len(set(groups)) < 2:
            expected = f"0: the {len(ids)} rows that are left are all near to each other"
            raise InputError("held_out", config.held_out, expected)
        return split(ids, [prompts[place] for place in groups], config.held_out, self.run.seed("division"))

    def _shares(self, learned: Sequence[str], held: Sequence[str]) -> list[str]:
        """A note where another share is held out than was asked for."""
        asked, n = self.config.held_out, len(learned) + len(held)
        wanted = math.ceil(asked * n - 1e-9)
        if len(held) == wanted:
            return []
        told = f"{len(held)} of {n} rows ({len(held) / n:.1%}) are held out; {asked:.1%} would be {wanted}"
        return [f"{told}: rows that are near to one another stay together."]

    def _settle(self) -> None:
        """Keep the settings that proved possible; from here on another value makes another run.

        Raises:
            ChangedRun: the folder holds a run that was finished with another.
        """
        mine: dict[str, Any] = jsonable({name: getattr(self.config, name) for name in SETTLED})
        kept = self.run.stage("settled", lambda: mine, dict[str, Any])
        if difference := first_difference(kept, mine, "config"):
            raise ChangedRun(f"{self.run.folder}: {told(difference)}; use another folder")
        self.run.config |= kept

    def _write(self, learned: Sequence[str], held: Sequence[str]) -> None:
        write: Any = write_conversations if self.kind == "conversations" else write_preferences
        for folder, ids in (("data", learned), ("held_out", held)):
            beside = [{"id": name, "source": self.source_of[name]} for name in ids]
            for ending, inner in (("jsonl", folder), ("parquet", f"parquet/{folder}")):
                if ids or (folder, ending) == ("data", "jsonl"):
                    path = self.run.artifact(inner, f"{self.kind}.{ending}")
                    write(path, [self.funnel.kept[name] for name in ids], beside=beside)
        self.funnel.write_dropped(self.run.artifact("dropped", "rows.jsonl"), _held)


def drawn(config: DataConfig, ids: Sequence[str], source_of: Mapping[str, str], seed: int) -> list[str]:
    """The ids of the rows that make the mixture that is asked for, in their new order.

    Raises:
        InputError: ``ids`` are too few for it.
    """
    of: dict[str, list[str]] = {name: [] for name in dict.fromkeys(source_of.values())}
    for name in ids:
        of[source_of[name]].append(name)
    if not config.mix:
        of = {"all sources": list(ids)}
    weights = config.mix or (1.0,)
    if empty := [name for name, each in of.items() if not each]:
        raise InputError("mix", config.mix, f"rows of each source: none of {empty[0]} is left")
    scarce, weight = min(zip(of, weights, strict=True), key=lambda pair: len(of[pair[0]]) / pair[1])
    most = int(len(of[scarce]) / weight * sum(weights) + 1e-9)
    try:
        return list(mixed(of, weights, config.rows or most, seed).values())
    except InputError:
        why = f"{scarce} has {len(of[scarce])}" if config.mix else "so many there are"
        raise InputError("rows", config.rows, f"at most {most}: {why}") from None


@cache
def loaded_judge(spec: str) -> Any:
    """A judge, loaded once in each process. Raises as ``load_judge``."""
    return load_judge(spec)


def _judged(spec: str, decides: bool, batch: list[tuple[Task, str, int]]) -> list[Verdict]:
    tasks, texts, seeds = (list(each) for each in zip(*batch, strict=True))
    verdicts: list[Verdict] = loaded_judge(spec)(tasks, [Response(text) for text in texts], seeds=seeds)
    if (
        decides
        and any(each.score is not None for each in verdicts)
        and all(v.passed is None for v in verdicts)
    ):
        raise InputError("min_score", None, f"a number: {spec} gives scores, and passes nothing by itself")
    return verdicts


def _held(row: Row) -> Any:
    """What is written of a row that was dropped."""
    return row.value if isinstance(row, Unreadable) else row


def _reason(fault: str) -> str:
    """ "The answer repeats itself." as a reason."""
    return fault[:1].lower() + fault[1:].rstrip(".")
