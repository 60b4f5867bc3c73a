"""Skills, query types, mixes, shirkers, coverage, and what is read from five turns."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from biddable.errors import FileError, InputError
from biddable.tasks.skillmix import (
    Example,
    Mix,
    QueryType,
    SkillBank,
    coverage_report,
    inject_shirkers,
    parse_list,
    parse_query_types,
    read_examples,
    read_query_types,
    read_skills,
    sample_mixes,
    write_examples,
)
from biddable.tasks.skillmix_turns import TURNS, first_turn, parse_refinement, read_turns
from biddable.tasks.steps import Drop

HELP = QueryType("Help-Seeking", "Somebody wants help.")
BANK = SkillBank(("a", "b", "c", "d"), (HELP, QueryType("Facts", "Somebody wants to know.")))


def test_blank_lines_are_no_skills_and_commas_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "skills.txt"
    path.write_bytes("\ufeffplanning\r\n\r\n  humour \n\nlists, tables\nPlanning\n".encode())
    skills, left_out = read_skills(path)
    assert skills == ["planning", "humour"]
    assert left_out == [
        "skills.txt line 5: 'lists, tables' holds a comma",
        "skills.txt line 6: 'Planning' is there already",
    ]
    path.write_text("\n \n")
    with pytest.raises(FileError, match="holds no skill, expected one a line"):
        read_skills(path)
    with pytest.raises(FileError, match="no such file"):
        read_skills(tmp_path / "none.txt")


@pytest.mark.parametrize(
    "entry",
    [
        "* Help-Seeking * Somebody wants help.",
        "* **Help-Seeking** * Somebody wants help.",
        "**Help-Seeking**: Somebody wants help.",
        "* Help-Seeking: *Somebody* wants help.",
    ],
)
def test_query_types_with_and_without_bold_names(entry: str) -> None:
    assert parse_query_types(f"{entry}\n###\n* Facts * To know.\n") == (
        [HELP, QueryType("Facts", "To know.")],
        [],
    )


def test_entries_that_are_no_query_types_are_named(tmp_path: Path) -> None:
    path = tmp_path / "queries.txt"
    path.write_text("* Facts * To know.\n###\nno stars here\n###\n* alone\n###\n* facts * Again.\n")
    types, left_out = read_query_types(path)
    assert types == [QueryType("Facts", "To know.")]
    assert left_out[0] == "queries.txt entry 2: 'no stars here', expected * name * definition"
    assert "entry 3" in left_out[1]
    assert left_out[2].endswith("is there already")
    path.write_text("nothing")
    with pytest.raises(FileError, match=r"holds no query type: queries\.txt entry 1"):
        read_query_types(path)


def test_lists_that_models_write() -> None:
    assert parse_list("Sure:\n1. **Planning**\n2) Humour.\n- Empathy\n\nHope it helps!") == [
        "Planning",
        "Humour",
        "Empathy",
    ]
    assert parse_list("Planning\nHumour") == ["Planning", "Humour"]
    assert parse_list("") == []


def test_mixes() -> None:
    mixes = sample_mixes(BANK, 2, 41, seed=1)
    assert mixes == sample_mixes(BANK, 2, 41, seed=1) != sample_mixes(BANK, 2, 41, seed=2)
    assert all(len({*mix.skills}) == 2 for mix in mixes)
    kinds = Counter(mix.query_type.name for mix in mixes)
    assert sorted(kinds.values()) == [20, 21]
    assert len({mix.combination for mix in mixes}) == 6 < len({mix.skills for mix in mixes})
    once = sample_mixes(BANK, 2, 6, seed=1, unique=True)
    assert len({mix.combination for mix in once}) == 6


def test_many_skills_are_not_enumerated() -> None:
    bank = SkillBank(tuple(f"skill {i}" for i in range(3000)), (HELP,))
    mixes = sample_mixes(bank, 4, 50, seed=0, unique=True)
    assert len({mix.combination for mix in mixes}) == 50


@pytest.mark.parametrize(
    ("k", "n", "unique", "message"),
    [
        (0, 1, False, "k is 0, expected an integer from 1 to 4, the number of skills"),
        (5, 1, False, "k is 5"),
        (2, -1, False, "n is -1, expected an integer of at least 1"),
        (2, 7, True, "at most 6"),
    ],
)
def test_mixes_that_cannot_be(k: int, n: int, unique: bool, message: str) -> None:
    with pytest.raises(InputError, match=message):
        sample_mixes(BANK, k, n, 0, unique=unique)


def rows(n: int) -> list[Example]:
    return [Example(f"Question {i}?", f"Answer {i}.", ("a", "b"), "Facts", "t") for i in range(n)]


def test_shirkers_replace_the_first_outputs_in_place() -> None:
    before = rows(10)
    after = inject_shirkers(before, 0.2, ["no", "nope"])
    assert [row.output for row in after[:2]] == ["no", "nope"]
    assert after[2:] == before[2:]
    assert [row.instruction for row in after] == [row.instruction for row in before]
    for fraction in (0.0, 1.5, float("nan")):
        with pytest.raises(InputError, match="fraction"):
            inject_shirkers(before, fraction, ["no"])
    with pytest.raises(InputError, match="one for each of 2 rows"):
        inject_shirkers(before, 0.2, ["no"])


def test_coverage() -> None:
    made = [
        Example("One two three.", "x y", ("a", "b"), ""),
        Example("One two three.", "x", ("b", "a"), ""),
        Example("Four five six.", "x", ("a", "c"), ""),
    ]
    of = coverage_report(made, "abcd")
    assert (of.rows, of.skills, of.used, of.pairs, of.possible) == (3, 4, 3, 2, 6)
    assert of.share == pytest.approx(1 / 3)
    assert of.similarity == pytest.approx(1 / 3)
    assert of.output_words == pytest.approx(4 / 3)
    assert coverage_report(made[:1], "abcd").similarity is None
    assert coverage_report([Example("One.", "x", ("a",), "")], "a").share == 0.0
    with pytest.raises(InputError):
        coverage_report([], "ab")


def test_published_columns_are_written_and_read(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    write_examples(path, rows(3))
    first = json.loads(path.read_text())[0]
    assert list(first) == ["instruction", "input", "output", "skills_joined_str", "query_str", "generator"]
    assert (first["input"], first["skills_joined_str"]) == ("", "a, b")
    assert read_examples(path) == (rows(3), [])


def test_rows_that_are_none_are_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    good = {"instruction": "Q", "output": "A", "skills_joined_str": "a, b"}
    bad = [
        {**good, "output": " "},
        {"instruction": "Q", "output": "A"},
        {**good, "skills_joined_str": "a, a"},
    ]
    path.write_text("".join(f"{json.dumps(each)}\n" for each in [good, *bad, 7]) + "{\n")
    made, left_out = read_examples(path)
    assert [row.skills for row in made] == [("a", "b")]
    assert len(left_out) == 5
    assert left_out[0].startswith("line 2: output is ' '")
    path.write_text(json.dumps({"instruction": "Q", "output": "A"}))
    with pytest.raises(FileError, match="skills_joined_str"):
        read_examples(path)


# -- five turns --------------------------------------------------------------------------------------------


def said(fourth: str, fifth: str) -> list[str]:
    return ["### Instruction: first\n### Response: one", "two", "three", fourth, fifth]


@pytest.mark.parametrize(
    ("fourth", "fifth", "expected"),
    [
        (
            '### Refined Instruction:\n"Do it."\n### Refined Response:\nLong',
            "### Response:\nLonger",
            "Longer",
        ),
        ("### Query: Do it.\n### Response: Long", "Just the text, all of it.", "Just the text, all of it."),
        ("**Refined Instruction:** Do it.\n\n**Refined Response:** Long", "### Instruction: x", "Long"),
        ("instruction: Do it.\nresponse: Long", "RESPONSE: Longer", "Longer"),
        ("no headings", "### Instruction:\nDo it.\n### Response:\nLonger", "Longer"),
    ],
)
def test_gpt_style(fourth: str, fifth: str, expected: str) -> None:
    assert parse_refinement(said(fourth, fifth)) == ("Do it.", expected)


@pytest.mark.parametrize(
    ("fourth", "fifth", "reason"),
    [
        ("nothing", "all of it", "no instruction was written"),
        ("", "", "neither instruction nor response was written"),
        ("### Instruction: Do it.", "### Instruction: Do it.", "no response was written"),
        ("### Instruction: Do it.", "### Response: Do it.", "instruction and response are the same"),
    ],
)
def test_what_cannot_be_read_has_a_reason(fourth: str, fifth: str, reason: str) -> None:
    result = parse_refinement(said(fourth, fifth))
    assert isinstance(result, Drop)
    assert result.reason == reason


def test_claude_style_takes_the_last_turn_with_a_response() -> None:
    fourth = "### Refined Query:\nDo it.\n### Refined Response:\nLong"
    assert parse_refinement(said(fourth, "Glad to help!"), "claude") == ("Do it.", "Long")
    assert parse_refinement(said(fourth, "### Full Response:\nLonger"), "claude") == ("Do it.", "Longer")
    both = "### Instruction: Other.\n### Response: Longer"
    assert parse_refinement(said(fourth, both), "claude") == ("Other.", "Longer")
    assert isinstance(parse_refinement(said("a", "b"), "claude"), Drop)


def test_turns_of_your_own(tmp_path: Path) -> None:
    path = tmp_path / "turns.json"
    path.write_text(json.dumps(TURNS))
    assert read_turns(path) == TURNS
    path.write_text(json.dumps(["{skills} {query_type}", "b", "c", "d", "e"]))
    with pytest.raises(FileError, match=r"the first text has no \{definition\}"):
        read_turns(path)
    path.write_text(json.dumps(["a"]))
    with pytest.raises(FileError, match="a JSON list of 5 texts"):
        read_turns(path)


def test_braces_in_skills_are_no_placeholders() -> None:
    mix = Mix(("writing {definition}", "b"), HELP)
    text = first_turn("{k}: {skills} / {query_type} / {definition}", mix)
    assert text == "2: writing {definition}, b / Help-Seeking / Somebody wants help."
