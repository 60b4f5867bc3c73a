"""SPaR as a whole, on real weights: it runs, resumes where it was killed, and refuses what cannot work."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from biddable.errors import InputError
from biddable.judges.degenerate import degeneracy
from biddable.methods.base import configure
from biddable.methods.improve.spar import Spar
from biddable.runs.figures import load_figures
from biddable.runs.results import read_results
from biddable.runs.tables import read_parquet
from biddable.types import Preference

MAIN = "from biddable.cli import main; main()"
SMOKE = [sys.executable, "-c", MAIN, "run", "spar", "--preset", "smoke", "--seed", "3", "--out"]


def smoke(folder: Path) -> subprocess.Popen:
    return subprocess.Popen(
        [*SMOKE, str(folder)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ}
    )


@pytest.fixture(scope="module")
def folder(smollm2, tmp_path_factory) -> Path:
    """A smoke run that is killed three times on its way."""
    folder = tmp_path_factory.mktemp("spar") / "run"
    for stage in ("bootstrap-answers.jsonl", "lessons.json", "seed3000-iter1-verdicts.jsonl"):
        process = smoke(folder)
        while process.poll() is None and not (folder / "stages" / stage).exists():
            time.sleep(0.05)
        assert process.poll() is None, process.stderr.read()
        process.send_signal(signal.SIGKILL)
        process.communicate()
    process = smoke(folder)
    out, err = process.communicate()
    assert process.returncode == 0, err
    assert "held-out tasks" in out
    return folder


@pytest.mark.timeout(600)
def test_a_killed_run_ends_with_everything_a_run_leaves(folder) -> None:
    results = read_results(folder)
    assert results.method == "spar"
    names = {(c.baseline_name, c.method_name) for c in results.comparisons}
    assert {("base", "spar-1"), ("independent", "refined")} <= names
    assert all(c.n == 12 for c in results.comparisons)
    pairs = read_parquet(folder / "artifacts" / "data" / "pairs.parquet", Preference)
    assert len(pairs) == results.metrics["seeds"]["seed3000"]["iterations"][0]["pairs"] > 0
    assert not any(degeneracy(pair.prompt[-1].content, pair.chosen) for pair in pairs)
    assert (folder / "artifacts" / "model" / "model.safetensors").is_file()
    figures = load_figures(folder / "figures.json")
    assert {"bars", "table", "curves", "trees", "diffs"} <= {figure.kind for figure in figures}
    [training] = [figure for figure in figures if figure.title == "Training: loss by step"]
    assert set(training.series) == {"first refiner", "actor, iteration 1", "refiner, iteration 1"}
    assert all([point.x for point in row] == list(range(1, len(row) + 1)) for row in training.series.values())
    [answers] = [figure for figure in figures if figure.title.startswith("Answers to read")]
    assert len(answers.trees) == 12
    assert (folder / "report.html").is_file()


@pytest.mark.timeout(600)
def test_a_finished_run_is_read_back_and_ends_the_same(folder) -> None:
    before = json.loads((folder / "results.json").read_text())
    process = smoke(folder)
    _, err = process.communicate()
    assert process.returncode == 0, err
    after = json.loads((folder / "results.json").read_text())
    assert {**before, "timing": 0} == {**after, "timing": 0}


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_killed_at_20_random_moments_it_ends_as_if_undisturbed(smollm2, tmp_path) -> None:
    start = time.monotonic()
    assert smoke(tmp_path / "undisturbed").wait() == 0
    alone = time.monotonic() - start
    moments = np.random.default_rng(0).uniform(2, alone / 3, 20)
    kills = 0
    for moment in moments:
        process = smoke(tmp_path / "killed")
        try:
            process.communicate(timeout=moment)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            kills += 1
    assert smoke(tmp_path / "killed").wait() == 0
    assert kills >= 10, "the run should outlast most of its kills"
    assert outcome(tmp_path / "killed") == outcome(tmp_path / "undisturbed")


def outcome(folder: Path) -> dict[str, object]:
    """All that a run leaves, less what depends on the clock; weights as digests."""
    left = {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for top in ("stages", "artifacts", "checkpoints", "metrics.jsonl", "figures.json")
        for path in sorted([folder / top, *(folder / top).rglob("*")])
        if path.is_file()
    }
    return {**left, "results": {**json.loads((folder / "results.json").read_text()), "timing": 0}}


def test_another_setting_is_refused_in_the_same_folder(folder) -> None:
    done = subprocess.run(
        [*SMOKE, str(folder), "--actor.beta", "0.2"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "actor.beta was 0.1, is now 0.2" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"search.branching": 0}, "search.branching is 0, expected an integer of at least 1"),
        ({"search.beam_width": 4}, "search.beam_width is 4, expected at most branching, which is 3"),
        ({"search": {"max_depth": 0}}, "search.max_depth is 0"),
        ({"search.budget": 0}, "search.budget is 0"),
        ({"actor.beta": 0}, "actor.beta is 0"),
        ({"actor.rpo_alpha": -1}, "actor.rpo_alpha is -1"),
        ({"bootstrap.sft.lr": 0}, "bootstrap.sft.lr is 0"),
        ({"compose.rules": 4}, "compose.rules is 4"),
        ({"prompts": 0}, "prompts is 0"),
        ({"samples": 1}, "samples is 1"),
        ({"judge": "self", "votes": 4}, "votes is 4, expected an odd number"),
        ({"arms": ("self", "self")}, "arms is ('self', 'self'), expected each arm once"),
        ({"arms": ("meta-rewarding",)}, "arms is 'meta-rewarding', expected judge=self"),
        ({"search.strategy": "best"}, "search.strategy is 'best', expected 'bfs' or 'dfs'"),
        ({"brunching": 3}, "brunching is 3, expected one of the settings search.branching"),
        ({"model": 7}, "model is 7, expected a text"),
    ],
)
def test_a_bad_setting_is_one_line_that_names_it(options, message) -> None:
    with pytest.raises(InputError) as caught:
        configure(Spar, options=options)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_preset_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match="preset is 'huge', expected one of default, smoke, full, gpu"):
        configure(Spar, "huge")


@pytest.mark.parametrize("preset", ["default", *Spar.presets])
def test_every_preset_is_sound(preset) -> None:
    configure(Spar, preset)
