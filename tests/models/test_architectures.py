"""A dozen architectures, and what becomes of each: the same answers as by ``transformers``, or a refusal."""

from __future__ import annotations

import re

import pytest
import transformers

from benchmarks import architectures
from benchmarks.architectures import PAGE, Outcome, outcome_of, page
from tests.models.families import names

FAST = ("llama", "gpt2", "gemma3_text", "mixtral", "cohere2")
PLAIN = ("lfm2", "qwen3_5_text", "jamba", "gpt_neo", "mamba", "gpt_oss", "deepseek_v3")
REFUSED = {"bert": "no decoder", "bart": "left over"}


@pytest.fixture(autouse=True)
def nothing_proved_before(tmp_path, monkeypatch):
    monkeypatch.setenv("BIDDABLE_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("family", [*FAST, *PLAIN, *REFUSED])
def test_a_family_is_served_as_transformers_computes_it(family, tmp_path):
    outcome = outcome_of(family, tmp_path / "model")
    assert outcome.wrong == []
    assert outcome.path == ("fast" if family in FAST else "plain" if family in PLAIN else "refused")
    assert REFUSED.get(family, "") in outcome.reason
    assert outcome.trains or outcome.why_not or family in REFUSED


def test_a_wrong_answer_is_found(tmp_path, monkeypatch):
    """What the table rests on: a decoder that goes wrong is told from one that does not."""
    from biddable.models import local
    from biddable.models.proof import Proof

    monkeypatch.setattr(local, "known_proof", lambda module, **options: Proof("fast", False))
    outcome = outcome_of("lfm2", tmp_path / "model")
    assert any("log-probabilities of answers are off" in line for line in outcome.wrong)
    assert any("scores are off" in line for line in outcome.wrong)


def test_a_family_that_ends_its_process_does_not_end_the_others(monkeypatch):
    monkeypatch.setattr(architectures, "LIMIT_S", 0.01)  # every process is ended before it tried anything
    found = architectures.outcomes(["llama", "gpt2"])
    assert [one.family for one in found] == ["llama", "gpt2"]
    assert all("its process ended with status" in one.wrong[0] for one in found)


def test_a_row_says_what_is_wrong():
    right = Outcome("one", "plain", "a | b <c>", trains=False, why_not="no")
    wrong = Outcome("two", "fast", wrong=["scores are off by 1"])
    assert right.row() == "| `one` | plain path: a \\| b &lt;c> | no: no |"
    assert "**wrong**: scores are off by 1" in wrong.row()
    assert "1 families" in page([right])


def test_the_page_has_every_family_and_nothing_wrong():
    text = PAGE.read_text(encoding="utf-8")
    assert "**wrong**" not in text
    if f"`transformers` {transformers.__version__}" not in text:
        pytest.skip("the page was made with another transformers")
    assert re.findall(r"^\| `([^`]+)` \|", text, re.M) == names()
