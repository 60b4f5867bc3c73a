"""Outputs are chosen by agreement, as the published sample run of Ensemble-Instruct was."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from biddable.errors import InputError
from biddable.judges.text_metrics import rouge_l
from biddable.search.consensus import BRANCHES, consensus
from biddable.tasks.generated import KINDS, Sample, parse_instances
from biddable.tasks.steps import Drop

PUBLISHED = Path(__file__).parents[2] / "../shared/data/ensemble_instruct"


@pytest.mark.parametrize(
    ("outputs", "branch", "place"),
    [
        (("Paris.", "paris", "Rome"), "first agrees", 0),
        (("Paris", "Rome", "  PARIS! "), "first agrees", 0),
        (("Paris", "Rome", "rome"), "others agree", 1),
        (("a b", "a b", "a b"), "first agrees", 0),
        (("the red cat", "the red dog", "the blue dog"), "overlap", 1),
        (("the cat", "the dog", "the cow"), "overlap", 0),  # all alike: the earliest
        (("cat", "dog", "cow"), "none", None),
        (("the cat", "the dog", "cow"), "none", None),  # one pair has nothing in common
        (("+", "-", "+"), "first agrees", 0),
        (("", "", "cat"), "none", None),
        (("cat", "", ""), "none", None),
        (("cat", "cat", ""), "first agrees", 0),
        (("北京", "北京", "上海"), "first agrees", 0),
        (("北京很大", "北京", "上海"), "none", None),
        (("a", "b", "c", "c", "b", "c"), "others agree", 2),  # most votes
        (("x", "X"), "first agrees", 0),
    ],
)
def test_branches(outputs: tuple[str, ...], branch: str, place: int | None) -> None:
    decision = consensus(outputs)
    assert (decision.branch, decision.place) == (branch, place)
    assert decision.output == ("" if place is None else outputs[place].strip())


def test_overlaps_are_those_of_pairs_with_stemming_and_their_sums() -> None:
    first, second, third = "He runs home", "he run away", "they run home"
    decision = consensus((first, second, third))
    pairs = (rouge_l(first, second), rouge_l(first, third), rouge_l(second, third))
    assert decision.overlaps == pytest.approx(pairs)
    assert decision.sums == pytest.approx((pairs[0] + pairs[1], pairs[0] + pairs[2], pairs[1] + pairs[2]))
    assert pairs[0] == pytest.approx(2 / 3)  # "runs" is "run"


def test_all_pairs_must_pass_the_threshold() -> None:
    outputs = ("the red cat", "the red dog", "the blue dog")
    assert consensus(outputs, threshold=1 / 3).branch == "none"  # the first and the third have 1/3
    assert consensus(outputs, threshold=0.33).branch == "overlap"


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
def test_a_threshold_is_a_share(threshold: float) -> None:
    with pytest.raises(InputError, match="threshold"):
        consensus(("a", "b"), threshold)


def test_one_output_is_no_vote() -> None:
    with pytest.raises(InputError, match="at least two"):
        consensus(("a",))


def test_nothing_agrees_with_nothing_as_published() -> None:
    assert consensus(("cat", "", ""), as_published=True).branch == "others agree"


def rows(name: str) -> list[Any]:
    path = PUBLISHED / f"openei.{name}"
    if not path.exists():
        pytest.skip(f"the published sample run is not at {path}")
    return [json.loads(line) for line in path.read_text().splitlines()]


def published_samples() -> list[Sample]:
    samples = []
    for kind, name in zip(KINDS, ("io", "o"), strict=True):
        for row in rows(f"{name}_instances.jsonl"):
            parsed = parse_instances(row["raw_instances"], row["instruction"], kind)
            samples += [] if isinstance(parsed, Drop) else parsed
    return samples


def test_published_instances_are_parsed_as_published() -> None:
    expected = [Sample(row["instruction"], row["input"], row["output"]) for row in rows("samples.jsonl")]
    assert published_samples() == expected
    assert len(expected) == 153


def test_the_published_sample_run_is_replayed() -> None:
    samples = published_samples()
    voters = [rows(f"{name}_output.jsonl") for name in ("flan-t5-xxl", "flan-ul2")]
    decisions = []
    for sample, *others in zip(samples, *voters, strict=True):
        assert all(
            (each["instruction"], each["input"]) == (sample.instruction, sample.input) for each in others
        )
        outputs = (sample.output, *(each["output"] for each in others))
        decisions.append(consensus(outputs, as_published=True))
    counts = Counter(each.branch for each in decisions)
    assert [counts[branch] for branch in BRANCHES] == [5, 24, 76, 48]
    # The published file is of an older version, which keeps the first output where the others agree.
    kept = [
        (sample.instruction, sample.input, sample.output if each.branch == "others agree" else each.output)
        for sample, each in zip(samples, decisions, strict=True)
        if each.place is not None
    ]
    assert kept == [(row["instruction"], row["input"], row["output"]) for row in rows("ensemble")]


def test_a_sample_run_of_our_own_is_replayed() -> None:
    raw = {
        "Name a colour. |EoS|": ("output: Red\n|EoS|", "red", "blue"),
        "Name a big city. |EoS|": ("output: Oslo |EoS|", "Rome", "rome."),
        "Tell of the sea. |EoS|": ("output: The sea is wide\nand deep", "The sea is deep", "It is the sea"),
        "Sing me a song. |EoS|": ("output: la la\n\ninstruction: x", "do re", "mi"),
        "Say something wise. |EoS|": ("output: |EoS|", "a", "a"),
    }
    kept, branches = [], Counter[str]()
    for instruction, (text, *others) in raw.items():
        parsed = parse_instances(text, instruction, "output")
        for sample in () if isinstance(parsed, Drop) else parsed:
            decision = consensus((sample.output, *others))
            branches[decision.branch] += 1
            kept.append((sample.instruction, decision.output))
    assert [branches[each] for each in BRANCHES] == [1, 1, 1, 1]
    assert kept == [
        ("Name a colour.", "Red"),
        ("Name a big city.", "Rome"),
        ("Tell of the sea.", "The sea is wide"),
        ("Sing me a song.", ""),
    ]
