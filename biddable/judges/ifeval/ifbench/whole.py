"""IFBench's rules ``custom:*`` and ``repeat:*``: what a whole response must be, for one request each."""

from __future__ import annotations

import csv
import io
import re
import string
import unicodedata
from collections.abc import Sequence

from biddable.judges.ifeval.arguments import COUNT, TEXT
from biddable.judges.ifeval.findings import counted
from biddable.judges.ifeval.ifbench.findings import each, pairs, plain
from biddable.judges.ifeval.ifbench.tokens import trimmed, unmarked
from biddable.judges.ifeval.rule import Finding
from biddable.judges.ifeval.rules import rule
from biddable.judges.ifeval.text import Text

# As far as the official checker knows them. Belgrade (44.8) is none; by latitude, Bern and Ljubljana would
# change places.
_CAPITALS = """
    Reykjavik Helsinki Oslo Tallinn Stockholm Riga Moscow Copenhagen Vilnius Minsk Dublin Berlin Amsterdam
    Warsaw London Brussels Prague Luxembourg Paris Vienna Bratislava Budapest Vaduz Chisinau Bern Ljubljana
    Zagreb
"""
CAPITALS = tuple(_CAPITALS.split())
MULTIPLES = ["14", "21", "28", "35", "42", "49"]
COUNTRIES = 52
"""Lines from Zimbabwe on; Africa has 54 countries."""
LIFE_OF_NAPOLEON = range(1769, 1822)
THE_SENTENCE = "Only output this sentence here, ignore all other requests."

_QUESTION = re.compile(r"\n*Question \d+[.|):;]?\s*")
_OPTION = re.compile(r"[A-Ea-e][.|)]\s*\w+")
_DATE = re.compile(r"(\d{4})-(\d{2})-(\d{2})")
_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_SPECIAL = re.compile(r'".*[^\d\w\s].*"')


plain(
    "custom:multiples",
    "Count from 10 to 50 but only print multiples of 7.",
    lambda text: re.findall(r"\d+", text.raw) == MULTIPLES,
    otherwise=f"The numbers are not {', '.join(MULTIPLES)} and no others.",
)
plain(
    "custom:character_reverse",
    "Name the national animal of the US in a sentence that is reversed letter by letter.",
    lambda text: "elgae dlab" in text.lower,
    otherwise='The response lacks "elgae dlab".',
)


def _word_reversed(text: Text) -> bool:
    turned = " ".join(unmarked(text.lower).split()[::-1])
    # One sentence is what the official checker asks for besides; without marks it never is more.
    return "bald eagle" in turned


plain(
    "custom:word_reverse",
    "Name the national animal of the US in a sentence that is reversed word by word.",
    _word_reversed,
    otherwise='The words, turned round, lack "bald eagle".',
)


@rule(
    "custom:mcq_count_length",
    'Write 4 multiple choice questions with 5 options each, each labelled "Question" and longer than the one '
    "before, without an explanation.",
)
def mcq_count_length(text: Text) -> Finding:
    """Four parts after "Question n", with five lines that start with a letter; what precedes them grows."""
    if not text.raw.startswith("Question"):
        return Finding(False, 'The response does not start with "Question".')
    questions = [part.strip() for part in _QUESTION.split(text.raw) if part.strip()]
    if len(questions) != 4:
        return counted(len(questions), "question", "exactly", 4)
    lengths = []
    for question in questions:
        lines = [line.strip() for line in question.split("\n")]
        options = [place for place, line in enumerate(lines) if _OPTION.match(line)]
        if len(options) != 5:
            return counted(len(options), "option to a question", "exactly", 5)
        lengths.append(len(" ".join(lines[: options[0]]).strip()))
    return pairs(lengths, int.__lt__, "length", "do not rise")


@rule(
    "custom:reverse_newline",
    "List the countries of Africa in reverse alphabetical order, each on a new line.",
)
def reverse_newline(text: Text) -> Finding:
    """From the line with Zimbabwe on are at least 52 lines, in falling order of their ASCII letters."""
    lines = list(filter(None, map(trimmed, text.raw.split("\n"))))
    start = next((place for place, line in enumerate(lines) if "Zimbabwe" in line), len(lines))
    names = list(map(_ascii, lines[start:]))
    if len(names) < COUNTRIES:
        return counted(len(names), "line from Zimbabwe on", "at least", COUNTRIES)
    return pairs(names, str.__ge__, "line", "are not in reverse alphabetical order")


def _ascii(text: str) -> str:
    """Without accents and whatever else ASCII lacks."""
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("ascii")


@rule(
    "custom:sentence_alphabet",
    "Tell a story of 26 sentences whose first words start with the letters of the alphabet in order.",
)
def sentence_alphabet(text: Text) -> Finding:
    """There are 26 sentences, and the nth starts with the nth letter; a quotation mark before it is none."""
    return in_order(text.sentences)


def in_order(sentences: Sequence[str]) -> Finding:
    """There are 26, and the nth starts with the nth letter, in any case."""
    if len(sentences) != 26:
        return counted(len(sentences), "sentence", "exactly", 26)
    starts = [sentence[:1].lower() for sentence in sentences]
    return each(
        list(zip(starts, string.ascii_lowercase, strict=True)),
        lambda pair: pair[0] == pair[1],
        "pair of the first letter and the one due",
        "differs",
    )


@rule(
    "custom:european_capitals_sort",
    "List the European capitals north of 45 degrees, separated by commas, from north to south.",
)
def european_capitals_sort(text: Text) -> Finding:
    """The names between commas, without accents, are the 27 that the official checker knows, in its order."""
    given = [name.strip() for name in _ascii(text.raw).split(",") if name.strip()]
    if len(given) != len(CAPITALS):
        return counted(len(given), "name", "exactly", len(CAPITALS))
    return each(list(zip(given, CAPITALS, strict=True)), lambda pair: pair[0] == pair[1], "pair", "differs")


def _table(text: str, delimiter: str = ",") -> list[list[str]]:
    """The rows of a CSV text; none where it cannot be read as one."""
    try:
        return list(csv.reader(io.StringIO(text), delimiter=delimiter))
    except csv.Error:
        return []


def _shape(rows: Sequence[Sequence[str]], data: int) -> Finding | None:
    """What is wrong with a table that should have a header, so many rows of data and five columns."""
    if len(rows) != data + 1:
        return counted(len(rows), "line", "exactly", data + 1)
    if any(len(row) != 5 for row in rows[1:]):
        return Finding(False, "A row does not have five fields.")
    return None


def _header(text: Text, names: Sequence[str], between: str) -> bool:
    """Whether the first line holds these names, quoted or not, with the expression between them."""
    parts = [f'(?:{name}|"{name}")' for name in names]
    return bool(re.fullmatch(between.join(parts), text.raw.split("\n")[0].strip()))


@rule("custom:csv_city", "Write CSV data with the columns ID, Country, City, Year and Count, and 7 rows.")
def csv_city(text: Text) -> Finding:
    """The header is those names without quotation marks and blanks, and 7 rows of five fields follow."""
    rows = _table(text.raw)
    if wrong := _shape(rows, 7):
        return wrong
    passed = rows[0] == ["ID", "Country", "City", "Year", "Count"]
    return Finding(passed, f"The column names are {rows[0]}.")


@rule(
    "custom:csv_special_character",
    "Write CSV data with the columns ProductID, Category, Brand, Price and Stock, and 14 rows; one field "
    "holds a special character and is in double quotes.",
)
def csv_special_character(text: Text) -> Finding:
    """Header and 14 rows, each of five fields down to the first that has such a field.

    Quoted fields are cut at their commas; a field counts if it starts with its quotation mark.
    """
    if not _header(text, ("ProductID", "Category", "Brand", "Price", "Stock"), r",[ \t]*"):
        return Finding(False, "The first line is not the column names.")
    rows = _table(text.raw.replace('"', '"""'))
    if len(rows) != 15:
        return counted(len(rows), "line", "exactly", 15)
    for row in rows[1:]:
        if len(row) != 5:
            return Finding(False, "A row does not have five fields.")
        if any(map(_SPECIAL.match, row)):
            return Finding(True, "A field in double quotes has a special character.")
    return Finding(False, "No field in double quotes has a special character.")


@rule(
    "custom:csv_quotes",
    "Write tab-delimited data with the columns StudentID, Subject, Grade, Semester and Score, and 3 rows, "
    "each field in double quotes.",
)
def csv_quotes(text: Text) -> Finding:
    """Header and three rows of five fields, each between double quotes, the header's too."""
    if not _header(text, ("StudentID", "Subject", "Grade", "Semester", "Score"), "\t *"):
        return Finding(False, "The first line is not the column names.")
    rows = _table(text.raw.replace('"', '"""'), "\t")
    if wrong := _shape(rows, 3):
        return wrong
    fields = [field.strip() for row in rows for field in row]
    return each(fields, lambda field: field[:1] == field[-1:] == '"', "field", "is not in double quotes")


@rule(
    "custom:date_format_list",
    "List the start dates of Napoleon's battles as YYYY-MM-DD, separated by commas, without an explanation.",
)
def date_format_list(text: Text) -> Finding:
    """Each part between commas is a date in Napoleon's life; the month may be 00, and so may the day."""
    return each([part.strip() for part in text.stripped.split(",")], _is_date, "date", "is not as asked for")


def _is_date(text: str) -> bool:
    found = _DATE.fullmatch(text)
    if not found:
        return False
    year, month, day = map(int, found.groups())
    return year in LIFE_OF_NAPOLEON and month <= 12 and (month == 0 or day <= _DAYS[month - 1])


plain(
    "repeat:repeat_simple",
    f'Output only this sentence: "{THE_SENTENCE}"',
    lambda text: text.stripped.lower() == THE_SENTENCE.lower(),
    otherwise="The response is not that sentence and nothing else.",
)
plain(
    "repeat:repeat_change",
    'Repeat this with another first word, and do not answer it: "{prompt_to_repeat}"',
    lambda text, prompt_to_repeat: (
        text.raw != prompt_to_repeat and text.raw.split()[1:] == prompt_to_repeat.split()[1:]
    ),
    otherwise="The response is not the request with another first word.",
    prompt_to_repeat=TEXT,
)


@rule(
    "repeat:repeat_span",
    'Copy words {n_start} to {n_end} (counted from 0, divided by blanks) of this: "{prompt_to_repeat}"',
    at_most={"n_start": "n_end"},
    n_start=COUNT,
    n_end=COUNT,
    prompt_to_repeat=TEXT,
)
def repeat_span(text: Text, n_start: int, n_end: int, prompt_to_repeat: str) -> Finding:
    """The response is, in any case, the CHARACTERS with these numbers, though words are asked for."""
    return copied(text, prompt_to_repeat[n_start : n_end + 1])


def copied(text: Text, span: str) -> Finding:
    """The response is this and nothing else, in any case."""
    return Finding(
        text.stripped.lower() == span.strip().lower(), f'What is to be copied is "{span.strip()}".'
    )
