"""Sentence boundaries: the algorithm against NLTK's, and the built-in parameters by hand."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks._ifeval_responses import SENTENCES, made_responses, made_tasks
from biddable.judges.ifeval import punkt
from biddable.judges.ifeval.punkt import (
    PunktParameters,
    english,
    installed,
    sentence_splitter_name,
    sentences,
)

OFFICIAL = Path(__file__).parents[4] / "shared/data/ifeval/input_data.jsonl"
BUILTIN = PunktParameters.builtin()

FRAGMENTS = [
    *"aB1S.,?!:;'\"-*()[]{}@#`",
    *" \n\t\xa0\x1c\u2028’“»…éİßा",
    *(
        "..",
        "...",
        ". . .",
        "--",
        " the",
        " The",
        "and ",
        "U.S.",
        " Mr.",
        "e.g.",
        "p.m.",
        "J.",
        " No.",
        "3.5",
        "5.",
    ),
]
STRINGS = st.lists(st.sampled_from(FRAGMENTS), max_size=25).map("".join)


@pytest.fixture(scope="module")
def nltk_sentences():
    if sentence_splitter_name() != "punkt_tab":
        pytest.skip(
            "NLTK's punkt_tab data is not installed (pip install --no-deps llama-index-core brings it)"
        )
    nltk_punkt = pytest.importorskip("nltk.tokenize.punkt")
    parameters = nltk_punkt.PunktParameters()
    parameters.abbrev_types = set(english().abbreviations)
    parameters.sent_starters = set(english().starters)
    parameters.collocations = set(english().collocations)
    parameters.ortho_context.update(english().contexts)
    return nltk_punkt.PunktSentenceTokenizer(parameters).tokenize


def test_as_nltk_on_responses(nltk_sentences):
    texts = [" ".join(group) for group in SENTENCES.values()]
    texts += made_responses(made_tasks(200)).values()
    for text in texts:
        assert sentences(text) == nltk_sentences(text)


def test_as_nltk_on_anything(nltk_sentences):
    @given(STRINGS)
    @settings(max_examples=600)
    def same(text):
        assert sentences(text) == nltk_sentences(text)

    same()


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("One here. Two there! Three? Four", 4),
        ("Dr. Lee met Mr. Poe at 5 p.m. in St. Louis.", 1),
        ("He lives in the U.S. The house is old.", 2),
        ("It cost 3.50 dollars.", 1),
        ("Some fruit, e.g. apples.", 2),  # Punkt's English parameters do not know "e.g."
        ("Wait... what? Really?! Yes.", 3),
        ('She said "Stop." Then she left.', 2),
        ("(It rained.) We stayed in.", 2),
        ("J. R. Brown wrote it.", 1),
        ("no end mark\n\nat all", 1),
        ("", 0),
        (" \n ", 0),
    ],
)
def test_built_in_parameters(text, count):
    assert len(sentences(text, BUILTIN)) == count


@given(STRINGS)
@settings(max_examples=300)
def test_sentences_are_the_text_without_blanks_between(text):
    kept = "".join("".join(sentences(text, BUILTIN)).split())
    assert kept == "".join(text.split())


@pytest.fixture
def nowhere(monkeypatch):
    """No installed parameters are found, and none that were found are remembered."""
    monkeypatch.setattr(punkt, "data_roots", lambda: iter(()))
    installed.cache_clear()
    yield monkeypatch
    installed.cache_clear()


def test_without_data_the_built_in_parameters_are_used(nowhere):
    assert sentence_splitter_name() == "built-in"
    assert sentences("Dr. Lee came. He sat.") == ["Dr. Lee came.", "He sat."]


def test_data_is_found_in_nltk_folders(nowhere, tmp_path):
    folder = tmp_path / "tokenizers/punkt_tab/english"
    folder.mkdir(parents=True)
    (folder / "abbrev_types.txt").write_text("foo\n")
    (folder / "sent_starters.txt").write_text("then\n")
    (folder / "collocations.tab").write_text("##number##\tmen\n")
    (folder / "ortho_context.tab").write_text("he\t46\n")
    nowhere.undo()
    nowhere.setenv("NLTK_DATA", str(tmp_path))
    installed.cache_clear()
    assert sentence_splitter_name() == "punkt_tab"
    assert sentences("Dr. Lee saw foo. bars. Foo. Then 12. Men.") == [
        "Dr.",
        "Lee saw foo. bars.",
        "Foo.",
        "Then 12. Men.",
    ]


def test_both_parameters_agree_on_nearly_all_prompts():
    if not OFFICIAL.exists():
        pytest.skip("the official IFEval prompts are not beside the project")
    if sentence_splitter_name() != "punkt_tab":
        pytest.skip("NLTK's punkt_tab data is not installed")
    prompts = [json.loads(line)["prompt"] for line in OFFICIAL.read_text(encoding="utf-8").splitlines()]
    same = sum(len(sentences(prompt)) == len(sentences(prompt, BUILTIN)) for prompt in prompts)
    assert same == 537
