from __future__ import annotations

from pathlib import Path

import pytest

from biddable import registry
from biddable.errors import InputError
from biddable.suites.load import load_suite


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ("bhb:x", "suite is 'bhb:x', expected bbh"),
        ("zzz", "suite is 'zzz', expected .*composed.* or a TOML file"),
        ("bbh", "suite bbh: argument is None, expected PATH after the colon"),
        ("composed:3", "suite composed: argument is '3', expected nothing after the name"),
        ("composed?tasks=x", "suite composed: tasks is 'x', expected .*integer"),
        ("composed?n=3", "suite composed: option is 'n', expected tasks"),
        ("mmlu:DIR?style=own", "suite mmlu: style is 'own', expected 'lm-eval', 'official' or"),
    ],
)  # fmt: skip
def test_a_name_that_cannot_be_meant_is_refused(spec: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        load_suite(spec)


def test_options_follow_the_question_mark() -> None:
    assert len(load_suite("composed?tasks=3").tasks) == 3
    assert load_suite("composed?tasks=3&name=short").name == "short"


def test_a_path_may_be_a_toml_file(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("q,a\nx,y\n")
    (tmp_path / "m.toml").write_text('data = "d.csv"\ncolumns = {prompt = "q", answer = "a"}\n')
    assert load_suite(tmp_path / "m.toml").name == "m"


def test_every_suite_of_ours_says_what_it_is() -> None:
    for name, make in registry.items("suites"):
        first = (make.__doc__ or "").split("\n")[0]
        assert first.endswith((".", ":", "?")), name
