"""The page of a run says what came of it, needs nothing but itself, and trusts no text it shows."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from biddable import registry
from biddable.errors import FileError, RunError
from biddable.methods.base import About
from biddable.report import page
from biddable.report.page import timing_rows, write_report
from biddable.runs.compare import compare
from biddable.runs.figures import (
    Answer,
    Bars,
    Curves,
    DiffPair,
    Diffs,
    Figure,
    Item,
    Items,
    Point,
    Replays,
    Scatter,
    ScatterPoint,
    Table,
    Text,
    Tree,
    TreeNode,
    Trees,
)
from biddable.runs.results import Results, write_results
from biddable.runs.run import Run

from .demo import COMPARISONS, figures, write_demo_run
from .parsing import Page, parse

EVIL = "</script></style><script>alert(1)</script><img src=x onerror=alert(2)>\"'&{{ 7*7 }}"


def words(text: str) -> str:
    return " ".join(text.split())


@pytest.fixture(scope="module")
def parsed(report: Path) -> Page:
    return parse(report.read_text("utf-8"))


def test_tags_are_balanced_and_ids_unique(parsed: Page) -> None:
    assert parsed.problems == []
    ids = Counter(each.attributes["id"] for each in parsed.elements if "id" in each.attributes)
    assert [name for name, count in ids.items() if count > 1] == []


def test_references_lead_to_elements_of_the_page(parsed: Page) -> None:
    ids = {each.attributes.get("id") for each in parsed.elements}
    for element in parsed.elements:
        for value in element.attributes.values():
            assert all(name in ids for name in re.findall(r"url\(#([^)]+)\)", value or ""))
        for attribute in ("href", "xlink:href"):
            if (value := element.attributes.get(attribute) or "").startswith("#"):
                assert value[1:] in ids
        for name in (element.attributes.get("aria-labelledby") or "").split():
            assert name in ids


def test_verdicts_say_in_words_and_numbers_what_came_of_each_claim(parsed: Page) -> None:
    assert [badge.text for badge in parsed.all("span", "badge")] == [
        "held",
        "not shown",
        "held",
        "contradicted",
    ]
    rows = [words(row.text) for row in parsed.all("tr")][1 : 1 + len(COMPARISONS)]
    assert rows[0] == (
        "strict prompt accuracySPaR, 3 iterations against SmolLM2-135M-Instruct 0.212 0.297 "
        "+0.085 +0.041 to +0.130 256seeds 0, 1, 2 heldpredicted higher"
    )
    assert "2 of 4 claims held, 1 not shown, 1 contradicted" in [words(h2.text) for h2 in parsed.all("h2")]


def test_whiskers_of_rates_share_a_scale_and_lie_where_their_numbers_say(parsed: Page) -> None:
    ranges = [
        (float(line.attributes["x1"] or ""), float(line.attributes["x2"] or ""))
        for line in parsed.all("line", "range")
    ]
    # Half the drawing is 56 units; the widest rate interval ends at 0.293, the words' at 13.1.
    assert ranges[0] == pytest.approx((56 * 0.041 / 0.293, 56 * 0.130 / 0.293), abs=0.01)
    assert ranges[1] == pytest.approx((56 * -0.006 / 0.293, 56 * 0.084 / 0.293), abs=0.01)
    assert ranges[3] == pytest.approx((56 * 2.2 / 13.1, 56), abs=0.01)


def test_every_figure_has_its_section_and_its_numbers(parsed: Page) -> None:
    titles = [words(h2.text) for h2 in parsed.all("h2")]
    assert titles[2 : 2 + len(figures())] == [figure.title for figure in figures()]
    assert len(parsed.all("svg", "wide")) == len(parsed.all("svg", "narrow")) == 3
    grids = [words(table.text) for table in parsed.all("table", "grid")]
    assert "punctuation:no_comma – 0.580 0.710 – –" in grids[0]
    assert "SPaR, iteration 1 0.251 – 0.380 0.402 256" in grids[3]


def test_chart_texts_stay_texts_and_colours_follow_the_page(parsed: Page) -> None:
    bars = parsed.all("svg", "wide")[0]
    assert "change_case:english_lowercase" in bars.text
    assert "share of prompts on which the rule is followed" in bars.text
    styles = " ".join(each.attributes.get("style") or "" for each in parsed.elements)
    assert "var(--series-1)" in styles
    assert not re.search(r"#[0-9a-f]{3,6}", styles)


def test_trees_show_texts_values_failures_and_the_way_to_the_answer(parsed: Page) -> None:
    answers = [answer.text for answer in parsed.all("div", "answer")]
    assert "waves upon the shore\nwhisper of the distant lands\nthe tide returns" in answers
    assert "Two commas are left" in " ".join(each.text for each in parsed.all("div", "critique"))
    on_the_way = [words(each.text)[:4] for each in parsed.all("li", "best")]
    assert on_the_way == ["0.00", "0.40", "1.00", "0.00", "0.40"]
    assert len(parsed.all("span", "returned")) == 2
    rules = [words(each.text) for each in parsed.all("ul", "rules")]
    assert rules[0] == "change_case:english_lowercasepunctuation:no_commastartend:end_checker"


def test_a_diff_marks_what_was_deleted_and_inserted(parsed: Page) -> None:
    assert parsed.all("div", "diff")[0].text.startswith("Waveswaves upon the shore,\n")
    assert [each.text for each in parsed.all("del")][:2] == ["rejected", "Waves"]
    assert [each.text for each in parsed.all("ins")][:2] == ["chosen", "waves"]


def test_episodes_are_pictures_with_what_came_of_them(report: Path) -> None:
    text = report.read_text("utf-8")
    captions = [" ".join(c.split()) for c in re.findall(r"<figcaption>(.*?)</figcaption>", text, re.DOTALL)]
    assert captions == [
        'to the &lt;red&gt; ball <b class="done">done</b>',
        'to the door <b class="failed">not done</b>',
    ]
    assert text.count('<img src="data:image/gif;base64,R0lGOD') == 2


def test_settings_are_folded_under_the_figures(parsed: Page) -> None:
    settings = [words(each.text) for each in parsed.all("details", "settings")]
    assert "solved.bfs0.52" in settings[0]
    assert "search.branch3" in settings[1]
    assert "train.learning_rate2e-07" in settings[1]
    assert "torch2.13.0" in settings[2]
    assert "stages.search4 min 02 s" in settings[3]
    assert "open" not in [name for each in parsed.all("details", "settings") for name in each.attributes]


def test_timing_reads_seconds_as_durations_and_leaves_the_rest() -> None:
    timing = {"seconds": 75.0, "stages": {"train": 3.21}, "tokens_per_second": 410.5, "opened": 2}
    assert timing_rows(timing) == [
        ("seconds", "1 min 15 s"),
        ("stages.train", "3.21 s"),
        ("tokens_per_second", 410.5),
        ("opened", 2),
    ]


def test_nothing_is_fetched_from_anywhere(report: Path) -> None:
    text = report.read_text("utf-8")
    loaded = re.findall(r"""(?:src|href|srcset|action|poster)\s*=\s*["']?([^"'\s>]*)""", text)
    assert loaded
    assert all(address.startswith(("data:", "#")) for address in loaded)
    assert all(address.startswith("#") for address in re.findall(r"url\(\s*[\"']?([^)]*)", text))
    assert "@import" not in text
    assert not re.search(r"\b(?:https?|wss?|ftp):", text)
    assert "fetch(" not in text


def test_charts_are_also_files(report: Path) -> None:
    plots = sorted((report.parent / "plots").iterdir())
    assert [plot.name for plot in plots] == [
        "accuracy-by-iteration.png",
        "pass-rate-by-rule.png",
        "refinement-against-budget.png",
    ]
    for plot in plots:
        with Image.open(plot) as image:
            assert image.format == "PNG"
            assert image.width == 2 * 860
            assert len(image.convert("RGB").getcolors(maxcolors=2**24)) > 50


def test_charts_of_one_title_do_not_overwrite_each_other(tmp_path: Path) -> None:
    bars = Bars("Same / Title!", ("a",), {"s": (1.0,)})
    write_report(write_demo_run(tmp_path / "run", [bars, bars, replace(bars, title="雪")]))
    names = sorted(plot.name for plot in (tmp_path / "run" / "plots").iterdir())
    assert names == ["bars.png", "same-title-2.png", "same-title.png"]


def test_the_same_run_gives_the_same_page(report: Path) -> None:
    before = report.read_bytes()
    write_report(report.parent)
    assert report.read_bytes() == before


def evil_figures() -> list[Figure]:
    node = TreeNode(EVIL, 0.5, (EVIL,), EVIL, (TreeNode(EVIL, 1.0, best=True),))
    return [
        Text(EVIL, (EVIL,)),
        Table(EVIL, (EVIL, "n"), ((EVIL, 1),), note=EVIL),
        Bars(EVIL, (EVIL, "$x^"), {EVIL: (0.1, 0.2), "_b": (0.3, None)}, unit=EVIL, note=EVIL),
        Curves(EVIL, EVIL, EVIL, {EVIL: (Point(1, 2),), "c\x00\x1b": (Point(1, 1),)}, note=EVIL),
        Trees(EVIL, (Tree(EVIL, node), Tree("\x00\ud800", TreeNode("\u2028"))), note=EVIL),
        Diffs(EVIL, (DiffPair(EVIL, EVIL, EVIL + EVIL, (EVIL, EVIL), EVIL),), note=EVIL),
        Scatter(EVIL, EVIL, EVIL, {EVIL: (ScatterPoint(0, 1, EVIL), ScatterPoint(1, 0))}, note=EVIL),
        Items(EVIL, (EVIL,), (Item(EVIL, EVIL, EVIL, EVIL, (EVIL,), {EVIL: Answer(EVIL, notes=(EVIL,))}),)),
    ]


@pytest.fixture(scope="module")
def evil_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_demo_run(tmp_path_factory.mktemp("evil") / "run", evil_figures())
    named = replace(COMPARISONS[0], metric=EVIL, baseline_name=EVIL, method_name=EVIL)
    results = Results(
        method=EVIL,
        comparisons=[named],
        config={EVIL: EVIL},
        environment={EVIL: [EVIL]},
        timing={EVIL: EVIL},
        metrics={EVIL: {EVIL: EVIL}},
        notes=[EVIL],
    )
    write_results(folder / "results.json", results)
    return write_report(folder)


def test_no_text_becomes_markup(evil_report: Path) -> None:
    parsed = parse(evil_report.read_text("utf-8"))
    assert parsed.problems == []
    scripts = [each for each in parsed.all("script") if each.attributes.get("type") != "application/json"]
    assert len(scripts) == len(parsed.all("style")) == 1
    assert parsed.all("img") == []
    assert not [name for each in parsed.elements for name in each.attributes if name.startswith("on")]
    assert "alert(1)" not in scripts[0].text
    shown = Counter(each.tag for each in parsed.elements if words(each.text) == words(EVIL))
    assert shown["h1"] == 1
    assert shown["h2"] == len(evil_figures())
    assert shown["td"] >= 5
    assert shown["li"] >= 2


def test_a_run_without_figures_has_a_page_of_verdicts(tmp_path: Path) -> None:
    folder = write_demo_run(tmp_path / "run")
    (folder / "figures.json").unlink()
    parsed = parse(write_report(folder).read_text("utf-8"))
    assert len(parsed.all("span", "badge")) == len(COMPARISONS)
    assert parsed.all("figure") == []
    assert not (folder / "plots").exists()


@pytest.mark.parametrize(
    "figure",
    [
        Text("t", ()),
        Table("t", (), ()),
        Table("t", ("a", "b"), ()),
        Bars("t", (), {}),
        Bars("t", ("a",), {}),
        Bars("t", ("a",), {"s": (None,)}),
        Curves("t", "x", "y", {}),
        Curves("t", "x", "y", {"s": ()}, x_scale="log"),
        Trees("t", ()),
        Diffs("t", ()),
        Replays("t", ()),
        Scatter("t", "x", "y", {}),
        Scatter("t", "x", "y", {"s": ()}, diagonal=True, fit=True),
        Scatter("t", "x", "y", {"s": (ScatterPoint(1, 1, "a"),)}, diagonal=True, fit=True),
        Items("t", (), ()),
        Items("t", ("a",), (Item("1", "", "", ""),)),
    ],
)
@pytest.mark.filterwarnings("error")
def test_an_empty_figure_is_no_reason_to_fail(tmp_path: Path, figure: Figure) -> None:
    assert parse(write_report(write_demo_run(tmp_path / "run", [figure])).read_text("utf-8")).problems == []


def test_the_page_says_what_the_method_claims(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Method:
        about = About("A & B", "Somebody, 2025", "It helps.", "a model", {})

    monkeypatch.setattr(
        page, "find", lambda kind, name: Method if (kind, name) == ("methods", "demo") else None
    )
    parsed = parse(write_report(write_demo_run(tmp_path / "run", [])).read_text("utf-8"))
    assert [each.text for each in parsed.all("h1")] == ["A & B"]
    assert [each.text for each in parsed.all("title")] == ["A & B"]
    assert words(parsed.all("p", "claim")[0].text) == "The claim. It helps."
    assert parsed.all("p", "note")[0].text == "Somebody, 2025"


@pytest.mark.parametrize(
    "target", ["no.such.module:Method", "biddable.errors:BiddableError", "biddable.errors:None_"]
)
def test_a_page_needs_its_method_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    monkeypatch.setitem(registry.BUILTIN["methods"], "demo", target)
    parsed = parse(write_report(write_demo_run(tmp_path / "run", [])).read_text("utf-8"))
    assert [each.text for each in parsed.all("h1")] == ["demo · smollm2"]


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no such run folder"):
        write_report(tmp_path / "nowhere")
    with pytest.raises(FileError, match=r"results\.json: no such file"):
        write_report(tmp_path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("results.json", "{"),
        ("results.json", '{"schema_version": 99}'),
        ("figures.json", '[{"kind": "pie"}]'),
    ],
)
def test_a_broken_file_is_named_and_the_old_page_stays(tmp_path: Path, name: str, content: str) -> None:
    folder = write_demo_run(tmp_path / "run", [])
    before = write_report(folder).read_bytes()
    (folder / name).write_text(content)
    with pytest.raises(FileError, match=re.escape(str(folder / name))):
        write_report(folder)
    assert (folder / "report.html").read_bytes() == before


def test_a_predicted_equality_is_explained(tmp_path: Path) -> None:
    folder = write_demo_run(tmp_path / "run", [])
    content = json.loads((folder / "results.json").read_text())
    content["comparisons"] = [
        {**content["comparisons"][1], "predicted": "equal", "verdict": "held"},
    ]
    (folder / "results.json").write_text(json.dumps(content))
    parsed = parse(write_report(folder).read_text("utf-8"))
    assert "The claim held" in [each.text for each in parsed.all("h2")]
    assert "a margin set by the method" in parsed.all("p", "note")[0].text


def test_an_evaluation_says_better_or_worse_and_claims_nothing(tmp_path: Path) -> None:
    scores = {"worse": [0.0] * 18 + [1.0] * 2, "better": [1.0] * 18 + [0.0] * 2}
    with Run.open(tmp_path / "run", "eval", {"evaluation": 1}, seed=0) as run:
        up = compare("s: acc", scores["worse"], scores["better"], seeds=(0,), method_name="new")
        down = compare("t: acc", scores["better"], scores["worse"], seeds=(0,), method_name="new")
        run.finish([up, down])
    page = write_report(tmp_path / "run").read_text("utf-8")
    assert "Beside the baseline: 1 better, 1 worse" in page
    assert not re.search("predicted higher|[Cc]ontradicted|held", page.partition("<main")[2])
