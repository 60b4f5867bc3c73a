from __future__ import annotations

import json
import re
from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from biddable.errors import InputError
from biddable.judges.ifeval import check, conflicts, validate
from biddable.tasks.compose import (
    ALL_TYPES,
    AWKWARD,
    CONFLICTS,
    RULES,
    SHORT_TYPES,
    Composer,
    RuleType,
    Wordings,
    all_bases,
    bases_of,
    compatible,
    compose,
    sample_verifiable_prompt,
)
from biddable.tasks.compose.composer import BRIEF, SET_LENGTH
from biddable.tasks.compose.conflicts import REPEAT_PROMPT
from biddable.types import Task

IFEVAL = Path(__file__).parents[2] / "../shared/data/ifeval/input_data.jsonl"
SPLITS = ("train", "validation", "test")


def text(task: Task) -> str:
    return task.prompt[0].content


def types(task: Task) -> list[str]:
    return [check.id for check in task.checks]


def ngrams(words: str, n: int) -> set[tuple[str, ...]]:
    tokens = re.findall(r"\w+", words.lower())
    return {tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)}


# The hand-written requests.


def test_there_are_enough_requests_of_many_genres():
    genres = Counter(base.genre for base in all_bases())
    assert len(all_bases()) >= 330
    assert len(genres) >= 20
    assert min(genres.values()) >= 16


def test_each_request_stands_once():
    assert len({base.id for base in all_bases()}) == len(all_bases())
    assert len({base.text.lower() for base in all_bases()}) == len(all_bases())


def test_splits_are_about_70_10_20_in_every_genre():
    for genre in {base.genre for base in all_bases()}:
        shares = Counter(base.split for base in all_bases() if base.genre == genre)
        total = shares.total()
        assert 0.65 <= shares["train"] / total <= 0.75
        assert 0.08 <= shares["validation"] / total <= 0.15
        assert 0.15 <= shares["test"] / total <= 0.22


def test_requests_read_as_typed_text():
    for base in all_bases():
        assert base.text[-1] in ".?!", base
        assert base.text == " ".join(base.text.split()), base
        assert not set(base.text) & set("{}[]<>*|"), base


def test_keywords_are_words_that_are_not_found_in_each_other():
    """The rules find keywords inside longer words, so a short one would be found anywhere."""
    for base in all_bases():
        words = [word.lower() for word in base.keywords]
        assert 5 <= len(words) <= 8, base
        assert all(len(word) >= 4 and word.isalpha() for word in words), base
        assert not any(one in other for one in words for other in words if one is not other), base


def test_no_two_requests_are_nearly_the_same():
    grams = {base.id: ngrams(base.text, 3) for base in all_bases()}
    for one, other in combinations(grams, 2):
        assert len(grams[one] & grams[other]) <= 0.5 * min(len(grams[one]), len(grams[other]) or 1) + 1


def test_requests_do_not_all_begin_alike():
    openings = Counter(base.text.split()[0] for base in all_bases())
    assert openings.most_common(1)[0][1] < len(all_bases()) / 5


@pytest.mark.skipif(not IFEVAL.exists(), reason="the published IFEval prompts are not here")
def test_nothing_shares_eight_words_in_a_row_with_ifeval():
    published = set()
    for line in IFEVAL.read_text(encoding="utf-8").splitlines():
        published |= ngrams(json.loads(line)["prompt"], 8)
    assert [base.id for base in all_bases() if ngrams(base.text, 8) & published] == []
    # The three answers to choose from are the same by nature.
    for split in ("train", "test"):
        composer = Composer(split, exclude_types=["detectable_format:constrained_response"])
        assert [task.id for task in composer.sample(500) if ngrams(text(task), 8) & published] == []


def test_ngrams_finds_a_shared_run():
    one = "Please write a poem about the sea at night, in winter."
    other = "Could you write a poem about the sea at night?"
    assert ngrams(one, 8) & ngrams(other, 8) == {("write", "a", "poem", "about", "the", "sea", "at", "night")}
    assert not ngrams(one, 9) & ngrams(other, 9)


# The rule types and their wordings.


def test_all_25_types_are_there():
    assert len(ALL_TYPES) == len(set(ALL_TYPES)) == 25
    assert set(RULES) == set(ALL_TYPES)
    assert set(SHORT_TYPES) < set(ALL_TYPES)


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.name)
def test_every_variant_of_a_rule_has_six_wordings_of_which_two_are_for_the_test(rule):
    for wordings in rule.wordings.values():
        assert len(wordings.train) >= 4
        assert len(wordings.test) >= 2
        assert len({*wordings.train, *wordings.test}) == len(wordings.train) + len(wordings.test)


@pytest.mark.parametrize("id", ALL_TYPES)
def test_every_wording_of_a_rule_can_be_filled_in_and_reads_as_a_sentence(id):
    """Over many arguments, so that singular and plural both come up."""
    rule = RULES[id]
    base = next(base for base in bases_of("train") if rule.fits(base))
    for seed in range(30):
        task = compose(base, (id,), "train", np.random.default_rng(seed), number=str(seed))
        args = task.checks[0].args
        for split in ("train", "test"):
            for template in rule.templates(args, split):
                sentence = rule.word(template, args)
                assert sentence[0].isupper() or sentence == "all lowercase please, in english."
                assert sentence[-1] in '.!?"'
                assert "  " not in sentence
                assert not re.search(r"\bone \w+s\b(?! of)", sentence.replace("one phrases", "!")), sentence


LESS = "less than"
AT_LEAST = "at least"


@pytest.mark.parametrize(
    ("id", "args", "stated"),
    [
        ("length_constraints:number_words", {"num_words": 40, "relation": LESS}, {"40"}),
        ("length_constraints:number_words", {"num_words": 41, "relation": LESS}, {"40"}),
        ("length_constraints:number_words", {"num_words": 40, "relation": AT_LEAST}, {"40"}),
        ("length_constraints:number_sentences", {"num_sentences": 4, "relation": AT_LEAST}, {"four"}),
        ("keywords:frequency", {"keyword": "bread", "frequency": 3, "relation": AT_LEAST}, {"three", "3"}),
        ("detectable_format:number_bullet_lists", {"num_bullets": 5}, {"five"}),
    ],
)
def test_wordings_state_the_number(id, args, stated):
    rule = RULES[id]
    for split in ("train", "test"):
        for template in rule.templates(args, split):
            assert stated & set(re.findall(r"\w+", rule.word(template, args)))


def test_fewer_than_is_worded_as_the_number_or_as_one_less_at_most():
    """ "Less than four" may be said as "fewer than four" or "at most three", and in no other way."""
    for id, args in (
        ("length_constraints:number_sentences", {"num_sentences": 4, "relation": LESS}),
        ("keywords:frequency", {"keyword": "bread", "frequency": 4, "relation": LESS}),
        ("keywords:letter_frequency", {"letter": "q", "let_frequency": 4, "let_relation": LESS}),
        ("change_case:capital_word_frequency", {"capital_frequency": 4, "capital_relation": LESS}),
    ):
        for split in ("train", "test"):
            for template in RULES[id].templates(args, split):
                sentence = RULES[id].word(template, args).lower()
                strict = re.search(r"\b(fewer than|less than|under|below) (four|4)\b", sentence)
                at_most = re.search(r"\b(at most|more than|the very most|to read)\b|\bmore\b", sentence)
                assert bool(strict) != bool(re.search(r"\b(three|3)\b", sentence) and at_most), sentence


def test_words_at_most_a_round_number_are_checked_as_less_than_one_more():
    args = {"num_words": 41, "relation": LESS}
    rule = RULES["length_constraints:number_words"]
    assert all("40" in rule.word(template, args) for template in rule.templates(args, "train"))
    assert check(rule.id, args, "word " * 40)
    assert not check(rule.id, args, "word " * 41)


# The conflict table.


def test_conflicts_are_symmetric_and_hold_the_rule_itself():
    for one in ALL_TYPES:
        assert one in CONFLICTS[one]
        assert all(one in CONFLICTS[other] for other in CONFLICTS[one])
        assert all(one in AWKWARD[other] for other in AWKWARD[one])


def test_the_judges_keep_the_same_table():
    assert {one: set(CONFLICTS[one]) for one in ALL_TYPES} == {one: conflicts(one) for one in ALL_TYPES}


@pytest.mark.parametrize(
    ("one", "other", "fit"),
    [
        ("startend:quotation", "detectable_format:title", False),
        ("detectable_format:json_format", "keywords:existence", True),
        ("detectable_format:json_format", "punctuation:no_comma", False),
        ("detectable_format:constrained_response", "punctuation:no_comma", False),
        ("change_case:english_capital", "language:response_language", False),
        ("punctuation:no_comma", "length_constraints:number_words", True),
        ("detectable_content:postscript", "startend:end_checker", False),
    ],
)
def test_which_types_combine(one, other, fit):
    assert compatible(one, other) is compatible(other, one) is fit


# Composed tasks.

SETTINGS = settings(max_examples=25, deadline=None, derandomize=True)
SEEDS = st.integers(0, 2**32 - 1)
RANGES = st.tuples(st.integers(1, 3), st.integers(1, 3)).map(sorted).map(tuple)


FIRST_TEST_TASKS = [
    "test-0-00000-news-09-no_comma",
    "test-0-00001-humour-09-no_comma+forbidden_words",
    "test-0-00002-speech-14-number_placeholders",
]


@SETTINGS
@given(seed=SEEDS, split=st.sampled_from(SPLITS), rules=RANGES)
def test_composed_tasks_are_sound(seed, split, rules):
    for task in Composer(split, rules=rules, seed=seed).sample(12):
        used = types(task)
        assert rules[0] <= len(used) <= rules[1]
        assert all(other not in CONFLICTS[one] for one, other in combinations(used, 2))
        for one in task.checks:
            validate(one.id, one.args)
        assert task.meta["base"] in {base.id for base in bases_of(split)}
        assert next(base for base in all_bases() if base.id == task.meta["base"]).text in text(task)
        for one, wording in zip(task.checks, task.meta["wordings"], strict=True):
            rule = RULES[one.id]
            assert wording in rule.templates(one.args, split)
            assert rule.word(wording, one.args) in text(task)


@SETTINGS
@given(seed=SEEDS, split=st.sampled_from(SPLITS))
def test_prompts_read_well(seed, split):
    for task in Composer(split, seed=seed).sample(12):
        assert not re.search(r"\{\w*\}|  | \n|\n{3}", text(task))
        assert text(task)[-1] in '.!?"'
        assert text(task)[0].isupper() or text(task).startswith("all lowercase")


@SETTINGS
@given(seed=SEEDS, n=st.integers(1, 20), more=st.integers(0, 20))
def test_the_first_tasks_do_not_depend_on_how_many_are_drawn(seed, n, more):
    composer = Composer(seed=seed)
    assert composer.sample(n) == composer.sample(n + more)[:n]
    assert composer.sample(n) == Composer(seed=seed).sample(n)


def test_the_seed_and_the_split_matter():
    samples = [Composer(split, seed=seed).sample(30) for split in SPLITS for seed in (0, 1)]
    prompts = [{text(task) for task in sample} for sample in samples]
    assert all(len(one & other) <= 1 for one, other in combinations(prompts, 2))


def test_the_first_tasks_of_seed_0_are_these():
    """Published numbers rest on these draws: a change here changes every experiment."""
    assert [task.id for task in Composer("test").sample(3)] == FIRST_TEST_TASKS


def test_ids_are_unique_and_readable():
    tasks = Composer(seed=3).sample(300)
    assert len({task.id for task in tasks}) == 300
    assert all(re.fullmatch(r"train-3-\d{5}-[a-z-]+-\d\d-[a-z_+]+", task.id) for task in tasks)


def test_no_request_comes_twice_with_the_same_rules_while_there_are_others():
    tasks = Composer(seed=5).sample(1500)
    assert len({(task.meta["base"], frozenset(types(task))) for task in tasks}) == 1500


def test_when_all_is_used_up_tasks_go_on_with_other_arguments():
    only = Composer("validation", types=["detectable_format:constrained_response"]).sample(9)
    assert len({task.meta["base"] for task in only}) == 4
    assert len({task.id for task in only}) == 9


def test_types_and_requests_take_turns():
    tasks = Composer(seed=0).sample(500)
    alone = Counter(types(task)[0] for task in tasks if len(task.checks) == 1)
    assert set(alone) == set(ALL_TYPES)
    assert max(alone.values()) - min(alone.values()) <= 1
    requests = Counter(task.meta["base"] for task in tasks)
    assert len(requests) == len(bases_of("train"))
    assert max(requests.values()) <= 3


def test_numbers_of_rules_follow_the_weights():
    sizes = Counter(len(task.checks) for task in Composer(seed=0).sample(1000))
    for size, share in ((1, 0.5), (2, 0.35), (3, 0.15)):
        assert abs(sizes[size] / 1000 - share) < 0.05
    only_pairs = Composer(rules=(1, 2), weights=(0, 1)).sample(20)
    assert {len(task.checks) for task in only_pairs} == {2}


@SETTINGS
@given(seed=SEEDS, held_out=st.sets(st.sampled_from(ALL_TYPES), min_size=1, max_size=24))
def test_held_out_types_never_appear(seed, held_out):
    for task in Composer(exclude_types=sorted(held_out), seed=seed).sample(15):
        assert not held_out & set(types(task))
    for task in Composer("test", types=sorted(held_out), seed=seed).sample(15):
        assert set(types(task)) <= held_out


def test_wordings_of_training_never_appear_in_the_test():
    trained = {
        w for s in ("train", "validation") for t in Composer(s).sample(400) for w in t.meta["wordings"]
    }
    tested = {wording for task in Composer("test").sample(400) for wording in task.meta["wordings"]}
    assert not trained & tested


def test_the_request_to_repeat_is_the_base_and_stands_on_top():
    for task in Composer(types=["combination:repeat_prompt", "keywords:existence"], seed=2).sample(40):
        for one in task.checks:
            if one.id == "combination:repeat_prompt":
                assert text(task).split("\n\n")[0] == one.args["prompt_to_repeat"]


def test_yes_or_no_answers_are_asked_of_yes_or_no_questions_only():
    for task in Composer(types=["detectable_format:constrained_response"]).sample(30):
        assert task.meta["genre"] == "yes_or_no"


def test_no_word_is_both_required_and_forbidden():
    ids = ["keywords:existence", "keywords:frequency", "keywords:forbidden_words"]
    for task in Composer(types=ids, rules=(3, 3), weights=[1]).sample(100):
        words = [
            word
            for one in task.checks
            for word in one.args.get("keywords") or one.args.get("forbidden_words") or [one.args["keyword"]]
        ]
        assert len(set(words)) == len(words)


def test_sample_verifiable_prompt_has_exactly_the_types_asked_for():
    ids = ("punctuation:no_comma", "startend:quotation")
    task = sample_verifiable_prompt(ids, np.random.default_rng(4))
    assert types(task) == list(ids)
    assert task == sample_verifiable_prompt(ids, np.random.default_rng(4))
    assert task != sample_verifiable_prompt(ids, np.random.default_rng(5))


def test_a_rule_type_of_ones_own_is_one_entry(monkeypatch):
    rhyme = RuleType(
        "own:rhyme",
        sample=lambda draw: {"word": draw.keywords(1)[0]},
        fields=lambda args: args,
        wordings={"any": Wordings(train=('Rhyme on "{word}".',), test=('Let it rhyme on "{word}".',))},
        fits=lambda base: base.genre == "poem",
    )
    monkeypatch.setitem(RULES, rhyme.id, rhyme)
    tasks = Composer("test", types=["own:rhyme", "punctuation:no_comma"], rules=(2, 2), weights=[1]).sample(3)
    for task in tasks:
        assert sorted(types(task)) == ["own:rhyme", "punctuation:no_comma"]
        assert task.meta["genre"] == "poem"
        assert "Let it rhyme on" in text(task)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"split": "dev"}, "split is 'dev', expected one of train, validation, test"),
        ({"types": []}, "types is [], expected at least one rule type"),
        ({"types": ["punctuation:no_coma"]}, "expected one of punctuation:no_comma"),
        ({"exclude_types": ["no_comma"]}, "exclude_types is 'no_comma'"),
        ({"types": ["punctuation:no_comma"], "exclude_types": ["punctuation:no_comma"]}, "not excluded"),
        ({"rules": (0, 2)}, "rules is (0, 2)"),
        ({"rules": (3, 2)}, "1 <= smallest <= largest"),
        ({"rules": (2, 2), "types": ["startend:quotation", "detectable_format:title"]}, "from 1 or less"),
        ({"rules": (20, 25), "weights": [1] * 6}, "no more of these types combine"),
        ({"rules": (1, 4)}, "weights is [0.5, 0.35, 0.15], expected 4 numbers"),
        ({"weights": (1, 1)}, "expected 3 numbers"),
        ({"weights": (1, -1, 1)}, "none negative"),
        ({"weights": (0, 0, 0)}, "not all zero"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": 1.5}, "expected an integer of at least 0"),
    ],
)
def test_bad_options_end_in_one_line(options, says):
    with pytest.raises(InputError) as error:
        Composer(**options)
    assert says in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("n", [0, -3, 2.5, True])
def test_bad_numbers_of_tasks(n):
    with pytest.raises(InputError, match="n is"):
        Composer().sample(n)


@pytest.mark.parametrize(
    "ids",
    [
        [],
        ["unknown"],
        ["startend:quotation", "detectable_format:title"],
        ["punctuation:no_comma", "punctuation:no_comma"],
        ["detectable_format:number_bullet_lists", "nothing"],
    ],
)
def test_types_that_make_no_prompt(ids):
    with pytest.raises(InputError, match="types"):
        sample_verifiable_prompt(ids, np.random.default_rng(0))


# Short answers.


@pytest.mark.parametrize("split", SPLITS)
def test_brief_tasks_ask_for_two_sentences_unless_a_rule_says_how_long(split):
    plain = Composer(split, types=SHORT_TYPES, rules=(1, 2), seed=4).sample(60)
    brief = Composer(split, types=SHORT_TYPES, rules=(1, 2), seed=4, brief=True).sample(60)
    assert [types(task) for task in plain] == [types(task) for task in brief]
    bases = {base.id: base.text for base in all_bases()}
    for task in brief:
        request = bases[task.meta["base"]]
        asked = any(f"{request} {hint}" in text(task) for hint in BRIEF.of(split))
        assert asked == SET_LENGTH.isdisjoint(types(task))


def test_a_repeated_request_is_repeated_with_its_request_for_a_short_answer():
    task = compose(
        bases_of("train")[0], (REPEAT_PROMPT,), "train", np.random.default_rng(0), number="0", brief=True
    )
    [check_] = task.checks
    assert "two sentences" in check_.args["prompt_to_repeat"].lower()
