"""The page in a real browser: no errors, and usable by keyboard, on a phone, in the dark."""

from __future__ import annotations

import functools
import html
import json
import os
import re
import shutil
import subprocess
import threading
from dataclasses import dataclass, replace
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from biddable.report.page import write_report
from biddable.runs.figures import (
    Answer,
    Bars,
    DiffPair,
    Diffs,
    Figure,
    Item,
    Items,
    Scatter,
    ScatterPoint,
    Table,
    Text,
    Tree,
    TreeNode,
    Trees,
)
from biddable.runs.results import read_results, write_results

from .demo import COMPARISONS, write_demo_run

NAMES = ("chromium", "chromium-browser", "google-chrome")
QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--enable-logging=stderr",
)


@dataclass(frozen=True)
class Chromium:
    """A headless browser that starts anew, with a profile of its own, for each page."""

    program: str
    folder: Path

    def open(self, page: str | Path, *options: str) -> tuple[str, list[str]]:
        """What the browser printed, and what the page's console held."""
        profile = self.folder / f"profile-{len(list(self.folder.iterdir()))}"
        address = page if isinstance(page, str) else page.as_uri()
        done = subprocess.run(
            [self.program, *QUIET, f"--user-data-dir={profile}", *options, address],
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]

    def screenshot(self, page: Path, width: int, height: int, *options: str) -> Image.Image:
        picture = self.folder / f"{width}.png"
        self.open(page, f"--window-size={width},{height}", f"--screenshot={picture}", *options)
        with Image.open(picture) as image:
            return image.convert("RGB")

    def ask(self, page: Path, script: str, *, width: int) -> Any:
        """What ``script`` returns, run with the ``page`` of a frame as wide as given (a phone's, say)."""
        wrapper = page.parent / "frame.html"
        wrapper.write_text(
            f'<iframe src="{page.name}" style="width:{width}px;height:800px;border:0"></iframe><pre></pre>'
            "<script>onload = () => { const frame = document.querySelector('iframe').contentWindow;"
            "const page = frame.document; const answer = (() => {" + script + "})();"
            "document.querySelector('pre').textContent = JSON.stringify(answer) }</script>"
        )
        serve = functools.partial(_Silent, directory=str(page.parent))
        with ThreadingHTTPServer(("127.0.0.1", 0), serve) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            try:
                address = f"http://127.0.0.1:{server.server_port}/frame.html"
                dom, _ = self.open(address, "--dump-dom", "--window-size=1300,900")
            finally:
                server.shutdown()
                wrapper.unlink()
        match = re.search(r"<pre>(.+?)</pre>", dom, re.DOTALL)
        assert match, dom[-2000:]
        return json.loads(html.unescape(match[1]))


class _Silent(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Chromium:
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        missing = "no Chromium found; install the Debian package chromium"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    return Chromium(program, tmp_path_factory.mktemp("chromium"))


def test_the_script_runs_and_builds_the_toolbars(chromium: Chromium, report: Path) -> None:
    dom, console = chromium.open(report, "--dump-dom")
    assert console == []
    assert dom.count('class="toolbar"') == 2
    assert re.search(r'<select aria-label="Choose a tree"><option>1 Write a haiku about the sea', dom)
    assert '<span class="position" aria-live="polite">1 of 2</span>' in dom


def test_a_script_that_slipped_through_would_not_run(
    chromium: Chromium, report: Path, tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    slipped = "<script>document.title = 'broken'</script><img src='http://127.0.0.1:9/x.png'></main>"
    page.write_text(report.read_text("utf-8").replace("</main>", slipped), "utf-8")
    dom, console = chromium.open(page, "--dump-dom")
    assert "<title>broken" not in dom
    assert len([line for line in console if "Content Security Policy" in line]) == 2


def test_the_page_is_drawn_on_a_desktop_in_light_and_dark(chromium: Chromium, report: Path) -> None:
    light = chromium.screenshot(report, 1280, 900)
    dark = chromium.screenshot(report, 1280, 900, "--blink-settings=preferredColorScheme=0")
    assert light.size == dark.size == (1280, 900)
    assert light.getpixel((5, 5)) == (255, 255, 255)
    assert max(dark.getpixel((5, 5))) < 40
    for image in (light, dark):
        assert len(image.getcolors(maxcolors=2**24)) > 100


@pytest.mark.parametrize("width", [360, 640, 841, 1280])
def test_nothing_sticks_out_sideways(chromium: Chromium, report: Path, width: int) -> None:
    measured = chromium.ask(
        report,
        """
        const shown = (query) => page.querySelector(query).getBoundingClientRect().width > 0;
        return [page.documentElement.scrollWidth, shown('.chart.wide'), shown('.chart.narrow')]
        """,
        width=width,
    )
    assert measured == [width, width > 640, width <= 640]


def test_words_without_end_do_not_stick_out_either(chromium: Chromium, tmp_path: Path) -> None:
    long = "a" * 300
    node = TreeNode(long, 0.5, (long,), long, (TreeNode(long, 1.0, best=True),))
    shown: list[Figure] = [
        Text(long, (long,)),
        Table(long, (long, "n"), ((long, 1),), note=long),
        Bars(long, (long,), {long: (1.0,), f"{long}b": (2.0,)}, note=long),
        Trees(long, (Tree(long, node), Tree(long, node))),
        Diffs(long, (DiffPair(long, long, long + " b", (long, long), long),)),
        Scatter(long, long, long, {long: (ScatterPoint(1, 2, long),), f"{long}b": ()}, note=long),
        Items(long, (long,), (Item(long, long, long, long, (long,), {long: Answer(long, notes=(long,))}),)),
    ]
    folder = write_demo_run(tmp_path / "run", shown)
    named = replace(COMPARISONS[0], metric=long, baseline_name=long)
    results = read_results(folder)
    changed = {"comparisons": [named], "notes": [long], "config": {long: long}, "method": long}
    write_results(folder / "results.json", results.model_copy(update=changed))
    script = "frame.dispatchEvent(new frame.Event('beforeprint')); return page.documentElement.scrollWidth"
    assert chromium.ask(write_report(folder), script, width=400) == 400


def test_trees_are_chosen_and_walked_by_keyboard(chromium: Chromium, report: Path) -> None:
    steps = chromium.ask(
        report,
        """
        const pager = page.querySelector('.pager');
        const shown = () => [...pager.querySelectorAll('.item')].map((item) => !item.hidden && item.open);
        const steps = [shown()];
        const next = pager.querySelector('[aria-label="Next tree"]');
        next.click();
        steps.push(shown(), next.disabled);
        const select = pager.querySelector('select');
        select.selectedIndex = 0;
        select.dispatchEvent(new frame.Event('change'));
        steps.push(shown(), next.disabled);

        const press = (key) => page.activeElement.dispatchEvent(
          new frame.KeyboardEvent('keydown', { key, bubbles: true, cancelable: true }));
        const here = () => page.activeElement.querySelector('.value').textContent;
        pager.querySelector('.tree summary').focus();
        for (const key of ['ArrowDown', 'ArrowDown', 'ArrowUp', 'End', 'ArrowDown', 'Home']) {
          press(key);
          steps.push(here());
        }
        press('ArrowLeft');
        steps.push(page.activeElement.parentElement.open);
        press('ArrowRight');
        steps.push(page.activeElement.parentElement.open);
        return steps
        """,
        width=1000,
    )
    assert steps[:5] == [[True, False], [False, True], True, [True, False], False]
    assert steps[5:11] == ["0.40", "1.00", "0.40", "0.00", "0.00", "0.00"]
    assert steps[11:] == [False, True]


def test_what_is_folded_is_printed_and_folded_again(chromium: Chromium, report: Path) -> None:
    before, during, after, other_tree = chromium.ask(
        report,
        """
        const open = () => [...page.querySelectorAll('details')].filter((one) => one.open).length;
        const counts = [open()];
        frame.dispatchEvent(new frame.Event('beforeprint'));
        counts.push(open());
        const other = page.querySelectorAll('.pager .item')[1].open;
        frame.dispatchEvent(new frame.Event('afterprint'));
        return [...counts, open(), other]
        """,
        width=1000,
    )
    assert before < during
    assert after == before
    assert other_tree is False


ANSWERS = {"yes": Answer("yes", True), "no": Answer("no", False), "mumble": Answer("<b>mumble</b>")}
RIGHT_WRONG = "base right, tuned wrong"


@pytest.fixture(scope="module")
def items_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """10,000 items: of each twelve in a row, two are right for the base and wrong for the tuned model."""
    said = list(ANSWERS.values())
    made = tuple(
        Item(
            f"item {index}",
            "bbh" if index % 2 else "ifeval",
            f"group {index % 4}",
            f"Question {index}: <img src=x onerror=alert(1)> yes or no?",
            ("yes",),
            {"base": said[index % 3]} | ({"tuned": said[index // 3 % 3]} if index % 4 else {}),
        )
        for index in range(10_000)
    )
    folder = tmp_path_factory.mktemp("items") / "run"
    return write_report(write_demo_run(folder, [Items("Every item", ("base", "tuned"), made)]))


def test_items_are_filtered_counted_and_turned(chromium: Chromium, items_page: Path) -> None:
    steps = chromium.ask(
        items_page,
        """
        const [suite, group, outcome] = page.querySelectorAll('.filters select');
        const [position, previous, next] = ['.position', '[aria-label^="Previous"]', '[aria-label^="Next"]']
          .map((query) => page.querySelector('.turning ' + query));
        const shown = () => [...page.querySelectorAll('.items .where')].map((each) => each.textContent);
        const choose = (select, start) => {
          select.selectedIndex = [...select.options].findIndex((each) => each.textContent.startsWith(start));
          select.dispatchEvent(new frame.Event('change'));
          return [select.selectedOptions[0].textContent, position.textContent, shown().length];
        };
        const steps = [position.textContent, previous.disabled, shown()[0]];
        next.click();
        steps.push(position.textContent, previous.disabled, shown()[0]);
        const start = frame.performance.now();
        steps.push(choose(outcome, 'base right, tuned wrong'), shown().slice(0, 2), choose(suite, 'bbh'));
        steps.push(choose(group, 'group 1'), choose(group, 'All groups'));
        steps.push(frame.performance.now() - start < 5000);
        steps.push([...group.options].filter((each) => each.disabled).map((each) => each.textContent));
        return steps
        """,
        width=1000,
    )
    asked = [index for index in range(10_000) if index % 4 and index % 3 == 0 and index // 3 % 3 == 1]
    odd, ones = [i for i in asked if i % 2], [i for i in asked if i % 4 == 1]
    assert steps[:3] == ["1–20 of 10,000", True, "ifeval · group 0 · item 0"]
    assert steps[3:6] == ["21–40 of 10,000", False, "ifeval · group 0 · item 20"]
    assert steps[6] == [f"{RIGHT_WRONG} ({len(asked)})", f"1–20 of {len(asked)}", 20]
    assert steps[7] == [f"{'bbh' if i % 2 else 'ifeval'} · group {i % 4} · item {i}" for i in asked[:2]]
    assert steps[8] == [f"bbh ({len(odd)})", f"1–20 of {len(odd)}", 20]
    assert steps[9] == [f"group 1 ({len(ones)})", f"1–20 of {len(ones)}", 20]
    assert steps[10] == [f"All groups ({len(odd)})", f"1–20 of {len(odd)}", 20]
    assert steps[11] is True
    assert steps[12] == ["group 0 (0)", "group 2 (0)"]


def test_an_item_shows_its_texts_as_texts(chromium: Chromium, items_page: Path) -> None:
    texts, images, marks, width = chromium.ask(
        items_page,
        """
        const item = page.querySelectorAll('.items .item')[2];
        item.open = true;
        const texts = [...item.querySelectorAll('.label, .prompt, .reference, .answer')];
        return [texts.map((each) => each.textContent), page.querySelectorAll('.items img, .items b').length,
          [...item.querySelectorAll('.marks .outcome')].map((each) => each.title),
          page.documentElement.scrollWidth]
        """,
        width=360,
    )
    assert texts == [
        "Prompt",
        "Question 2: <img src=x onerror=alert(1)> yes or no?",
        "Right answer",
        "yes",
        "base ? undecided",
        "<b>mumble</b>",
        "tuned ✓ right",
        "yes",
    ]
    assert images == 2 * 20  # the models' names
    assert marks == ["base: undecided", "tuned: right"]
    assert width == 360


def test_items_are_searched_in_all_their_texts(chromium: Chromium, items_page: Path) -> None:
    page = items_page.with_name("waits.html")
    # The search waits for a pause in the typing, and `ask` does not wait: no pause here.
    text, digest = items_page.read_text("utf-8"), re.compile(r"script-src 'sha256-[^']*'")
    text = digest.sub("script-src 'unsafe-inline'", text).replace("setTimeout(apply, PAUSE)", "apply()")
    page.write_text(text, "utf-8")
    found = chromium.ask(
        page,
        """
        const search = page.querySelector('.filters input');
        return ['QUESTION 4242:', 'mumble', 'no such words'].map((words) => {
          search.value = words;
          search.dispatchEvent(new frame.Event('input'));
          return page.querySelector('.items .note').textContent;
        })
        """,
        width=1000,
    )
    mumbled = sum(i % 3 == 2 or (i % 4 > 0 and i // 3 % 3 == 2) for i in range(10_000))
    assert found[0] == "1 of 10,000 items. Marks in order: base, tuned."
    assert found[1] == f"{mumbled:,} of 10,000 items. Marks in order: base, tuned."
    assert found[2] == "No item is like that."


def test_rows_that_are_kept_or_dropped_are_called_so(chromium: Chromium, tmp_path: Path) -> None:
    made = tuple(
        Item(
            f"file.jsonl:{index}",
            "file.jsonl",
            "near: near duplicate" if index % 4 == 3 else "kept",
            f"Question {index}",
            answers={"row": Answer(f"Answer {index}", index % 4 != 3, None, ("near duplicate: 0.82",))},
        )
        for index in range(40)
    )
    figure = Items("Rows", ("row",), made, outcomes=("kept", "dropped"), places=("source", "step"))
    page = write_report(write_demo_run(tmp_path / "run", [figure]))
    texts = chromium.ask(
        page,
        """
        const item = page.querySelectorAll('.items .item')[3];
        item.open = true;
        const [source, step, outcome] = page.querySelectorAll('.filters select');
        const options = (select) => [...select.options].map((each) => each.textContent);
        return [options(step), options(outcome), step.ariaLabel,
          item.querySelector('.label .outcome').textContent,
          item.querySelector('.marks .outcome').title, item.querySelector('.remarks').textContent,
          [...page.querySelectorAll('.numbers th')].map((each) => each.textContent)]
        """,
        width=1000,
    )
    assert texts[0] == ["All steps (40)", "kept (30)", "near: near duplicate (10)"]
    assert texts[1] == ["Any outcome (40)", "row kept (30)", "row dropped (10)"]
    assert texts[2:6] == ["Step", "✕ dropped", "row: dropped", "near duplicate: 0.82"]
    assert texts[6] == ["source", "step", "items", "row, kept"]
