"""A run folder as a method might leave it. The numbers are made up: they are the report's own test data."""

from __future__ import annotations

import base64
import io
from pathlib import Path

from PIL import Image

from biddable.runs.figures import (
    Bars,
    Clip,
    Curves,
    DiffPair,
    Diffs,
    Figure,
    Point,
    Replays,
    Table,
    Text,
    Tree,
    TreeNode,
    Trees,
    save_figures,
)
from biddable.runs.results import Results, write_results
from biddable.types import Comparison

COMPARISONS = [
    Comparison(
        "strict prompt accuracy",
        0.212,
        0.297,
        0.297 - 0.212,
        (0.041, 0.130),
        256,
        (0, 1, 2),
        "higher",
        "held",
        "SmolLM2-135M-Instruct",
        "SPaR, 3 iterations",
    ),
    Comparison(
        "strict prompt accuracy",
        0.258,
        0.297,
        0.297 - 0.258,
        (-0.006, 0.084),
        256,
        (0, 1, 2),
        "higher",
        "not shown",
        "DPO on independent pairs",
        "DPO on refined pairs",
    ),
    Comparison(
        "string similarity of a pair",
        0.612,
        0.884,
        0.884 - 0.612,
        (0.251, 0.293),
        1200,
        (0, 1, 2),
        "higher",
        "held",
        "independent pairs",
        "refined pairs",
    ),
    Comparison(
        "words per answer",
        84.1,
        91.7,
        91.7 - 84.1,
        (2.2, 13.1),
        256,
        (0, 1, 2),
        "lower",
        "contradicted",
        "SmolLM2-135M-Instruct",
        "SPaR, 3 iterations",
    ),
]

RULES = (
    "length_constraints:number_words",
    "change_case:english_lowercase",
    "keywords:existence",
    "detectable_format:number_bullet_lists",
    "startend:end_checker",
    "punctuation:no_comma",
)

HAIKU = (
    "Write a haiku about the sea in lower case letters. Use no commas. End with the words 'the tide returns'."
)
LIST = "List three ways to save water at home.\nUse exactly three bullet points and the word 'rain' twice."

HAIKU_TREE = Tree(
    HAIKU,
    TreeNode(
        "Waves upon the shore,\nWhispering of distant lands,\nSalt upon the breeze.",
        0.0,
        ("change_case:english_lowercase", "punctuation:no_comma", "startend:end_checker"),
        "There are capital letters in every line, two commas, and the last words are 'the breeze'.",
        (
            TreeNode(
                "waves upon the shore,\nwhispering of distant lands,\nthe tide returns",
                0.4,
                ("punctuation:no_comma",),
                "Lower case and the ending are right. Two commas are left.",
                (
                    TreeNode(
                        "waves upon the shore\nwhisper of the distant lands\nthe tide returns",
                        1.0,
                        best=True,
                        critique="All three rules are followed.",
                    ),
                    TreeNode(
                        "waves upon the shore and whispering, the tide returns",
                        0.2,
                        ("punctuation:no_comma",),
                        "A comma is left, and it is not a haiku any more.",
                    ),
                ),
            ),
            TreeNode(
                "Waves upon the shore\nWhispering of distant lands\nThe tide returns",
                0.2,
                ("change_case:english_lowercase",),
                "Every line begins with a capital letter.",
            ),
            TreeNode("", 0.0, ("startend:end_checker",), "The answer is empty."),
        ),
    ),
)

LIST_TREE = Tree(
    LIST,
    TreeNode(
        "Take shorter showers, collect rain, and fix leaks.",
        0.0,
        ("detectable_format:number_bullet_lists", "keywords:frequency"),
        "No bullet points; 'rain' is mentioned once.",
        (
            TreeNode(
                "* Take shorter showers\n* Collect rain\n* Fix leaks", 0.4, ("keywords:frequency",), best=True
            ),
        ),
    ),
)


def figures() -> list[Figure]:
    """One block of each kind and more."""
    budgets = (1, 2, 4, 8, 16, 32)
    return [
        Bars(
            "Pass rate by rule",
            RULES,
            {
                "SmolLM2-135M-Instruct": (0.18, 0.41, 0.52, 0.22, 0.09, None),
                "DPO, independent pairs": (0.21, 0.47, 0.53, 0.24, 0.11, 0.58),
                "SPaR, 3 iterations": (0.27, 0.66, 0.55, 0.31, 0.19, 0.71),
            },
            {
                "SPaR, 3 iterations": (
                    (0.2, 0.34),
                    (0.57, 0.74),
                    (0.46, 0.64),
                    (0.22, 0.4),
                    (0.11, 0.28),
                    None,
                )
            },
            unit="share of prompts on which the rule is followed",
            note="Held-out prompts, one greedy answer each. The line is the 95 % interval over prompts.",
        ),
        Curves(
            "Refinement against budget",
            "answers generated per prompt",
            "share of prompts solved",
            {
                "best of n": tuple(Point(x, 0.21 + 0.045 * i) for i, x in enumerate(budgets)),
                "iterative": tuple(Point(x, 0.20 + 0.05 * i) for i, x in enumerate(budgets)),
                "breadth-first": tuple(
                    Point(x, 0.17 + 0.07 * i, 0.13 + 0.065 * i, 0.21 + 0.075 * i)
                    for i, x in enumerate(budgets)
                ),
                "depth-first": tuple(Point(x, 0.17 + 0.066 * i) for i, x in enumerate(budgets)),
            },
            x_scale="log",
        ),
        Curves(
            "Accuracy by iteration",
            "iteration",
            "strict prompt accuracy",
            {
                "seed 0": (Point(0, 0.21), Point(1, 0.25), Point(2, 0.28), Point(3, 0.30)),
                "seed 1": (Point(0, 0.21), Point(1, 0.24), Point(2, 0.29), Point(3, 0.29)),
                "seed 2": (Point(0, 0.21), Point(1, 0.26), Point(2, 0.27), Point(3, 0.30)),
            },
        ),
        Table(
            "Four accuracies",
            ("model", "prompt strict", "prompt loose", "rule strict", "rule loose", "answers"),
            (
                ("SmolLM2-135M-Instruct", 0.212, 0.231, 0.334, 0.361, 256),
                ("DPO, independent pairs", 0.258, 0.279, 0.371, 0.392, 256),
                ("SPaR, iteration 1", 0.251, None, 0.380, 0.402, 256),
                ("SPaR, iteration 3", 0.297, 0.312, 0.428, 0.446, 1024),
            ),
            note="Loose accuracy forgives a first or last line and asterisks.",
        ),
        Trees("Refinement trees", (HAIKU_TREE, LIST_TREE), note="A value is the share of votes in favour."),
        Diffs(
            "Preference pairs",
            (
                DiffPair(
                    HAIKU,
                    HAIKU_TREE.root.text,
                    HAIKU_TREE.root.children[0].children[0].text,
                    ("rejected", "chosen"),
                    "Missed: lower case, commas, the ending.",
                ),
                DiffPair(LIST, LIST_TREE.root.text, LIST_TREE.root.children[0].text, ("rejected", "chosen")),
            ),
            note="The two sides differ in the rule that was missed and in little else.",
        ),
        Replays(
            "Episodes",
            (
                Clip("to the <red> ball", moving((200, 30, 30)), True),
                Clip("to the door", moving((0, 0, 0)), False),
            ),
            note="The same level, before and after.",
        ),
        Text(
            "How to read this",
            (
                "The rules themselves judge, so a tree's value is exact up to the vote noise that was added.",
                "Published numbers come from models fifty times as large and cannot be compared.",
            ),
        ),
    ]


def write_demo_run(folder: Path, shown: list[Figure] | None = None) -> Path:
    """Write ``results.json`` and ``figures.json`` into a new folder."""
    folder.mkdir(parents=True)
    results = Results(
        method="demo",
        comparisons=COMPARISONS,
        config={
            "model": "smollm2",
            "seed": 0,
            "search": {"strategy": "bfs", "branch": 3, "keep": 2, "gate": 0.5},
            "train": {"learning_rate": 2e-07, "beta": 0.1, "alpha": 0.1},
        },
        environment={"biddable": "0.1.0", "python": "3.11.2", "cpu": "two cores", "torch": "2.13.0"},
        timing={
            "started": "2025-01-01T12:00:00+00:00",
            "opened": 2,
            "seconds": 527.3,
            "stages": {"prompts": 0.31, "samples": 187.0, "search": 241.8, "train": 98.2},
            "host_load": 1.93,
        },
        metrics={"pairs": 1200, "solved": {"bfs": 0.52, "best of n": 0.41}},
        notes=["A model this small cannot judge in prose, so the rules judge."],
    )
    write_results(folder / "results.json", results)
    save_figures(folder / "figures.json", figures() if shown is None else shown)
    return folder


def moving(colour: tuple[int, int, int]) -> str:
    """A square that goes from left to right, as an animated GIF in base64."""
    frames = [Image.new("RGB", (60, 20), (240, 240, 240)) for _ in range(4)]
    for place, frame in enumerate(frames):
        frame.paste(colour, (15 * place, 5, 15 * place + 10, 15))
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:], duration=100, loop=0)
    return base64.b64encode(file.getvalue()).decode()
