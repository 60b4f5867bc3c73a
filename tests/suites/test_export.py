"""Exports are read by the tools that they are for, and read back as they were."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from biddable.models.base import Sampling
from biddable.suites.comparison import compare_logs
from biddable.suites.export import export
from biddable.suites.logs import read_logs
from biddable.suites.logs.ours import cell_log
from biddable.suites.store import Cell, Counted
from biddable.types import Check, CheckResult, Message, Record, Response, Task, Verdict, user

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
PLAIN: dict[str, Any] = {"template": "chat", "shots": 2, "max_tokens": 32, "judge": "1", "seconds": 1.5}


def made_cell(suite: str, ask: Any, metrics: tuple[Counted, ...], records: list[Record]) -> Cell:
    asked = {"weights": "w", "tasks": "1f", "shots": [2, "", ""]}
    return Cell(f"{suite}-m", "org/m", suite, asked, metrics, ask, **PLAIN, records=tuple(records))


def instructions() -> Cell:
    records = []
    for i in range(5):
        passed = [i % 2 == 0, True, i > 2]
        checks = tuple(Check(f"rule:{j}", {"n": j} if i else {"word": "x"}) for j in range(3))
        verdict = Verdict(sum(passed) / 3, all(passed), "too long", tuple(map(CheckResult, "abc", passed)))
        prompt = (
            user(f"Say {i}\nin “words”") if i else (Message("system", "Be brief."), Message("user", "Say 0"))
        )
        task = Task(f"key/{i}", prompt, checks, meta={"source": f"s{i // 2}", "group": "g", "n": i})
        metrics = {"prompt_level_strict_acc": float(all(passed)), "inst_level_strict_acc": sum(passed) / 3}
        response = Response("a\ud83d" if i == 1 else f"answer {i}", (1, 2, 3))
        weights = {"inst_level_strict_acc": 3.0}
        answers = (response, Response("again"))
        records.append(Record(task, answers, (verdict,) * 2, metrics=metrics, weights=weights))
    return made_cell(
        "ifeval", "generate", (Counted("prompt_level_strict_acc"), Counted("inst_level_strict_acc")), records
    )


def choices() -> Cell:
    records = [
        Record(
            Task(f"c{i}", f"Q{i}", references=(" A",), meta={"group": f"g{i % 2}"}, choices=(" A", " B")),
            (Response(" A" if i else " B"),),
            scores=(-1.0 - i, -1.5),
            metrics={"acc": float(i == 0)},
        )
        for i in range(4)
    ]
    return made_cell("mmlu:x", "choose", (Counted("acc", chance=0.5),), records)


def texts() -> Cell:
    records = [
        Record(
            Task(str(i), "some words of a text " * (i + 1)),
            scores=(-30.0 * (i + 1) - i,),
            metrics={"bits_per_byte": 2.0 + i, "word_perplexity": 3.0 + i},
            weights={"bits_per_byte": 21.0 * (i + 1), "word_perplexity": 5.0 * (i + 1)},
        )
        for i in range(3)
    ]
    return made_cell(
        "text",
        "perplexity",
        (Counted("bits_per_byte", False), Counted("word_perplexity", False, "exp")),
        records,
    )


CELLS = [instructions(), choices(), texts()]


@pytest.fixture(params=["lm-eval", "inspect"])
def exported(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    export(CELLS, tmp_path / "out", request.param, now=NOW)
    return tmp_path / "out"


def test_what_is_written_is_read_back_as_it_was(exported: Path) -> None:
    logs = {log.suite.replace("_", ":"): log for log in read_logs(exported)}
    for cell in CELLS:
        ours, theirs = cell_log(cell, "."), logs[cell.suite]
        assert theirs.name == "org/m"
        for mine, other in zip(ours.items, theirs.items, strict=True):
            assert (other.id, other.group, other.source) == (mine.id, mine.group, mine.source)
            same = {name.removesuffix(", nats"): value for name, value in mine.metrics.items()}
            assert {name.removesuffix(", nats"): v for name, v in other.metrics.items()} == pytest.approx(
                same
            )
            assert sorted(other.weights.values()) == pytest.approx(sorted(mine.weights.values()))
            if cell.ask == "generate":
                assert other.response == mine.response.encode("utf-8", "replace").decode()
        [part] = compare_logs([ours, theirs])
        assert part.joins[0].by == "id"
        assert [row.difference for row in part.rows] == pytest.approx([0.0] * len(part.rows), abs=1e-12)


def test_lm_eval_reads_its_results_and_samples(tmp_path: Path) -> None:
    utils = pytest.importorskip("lm_eval.utils", reason="lm-evaluation-harness is not installed")
    metrics = pytest.importorskip("lm_eval.api.metrics")
    from lm_eval.result_schema import SampleResult

    paths = [str(path) for path in export(CELLS, tmp_path, "lm-eval", now=NOW)]
    [results] = utils.get_results_filenames(paths)
    assert utils.get_file_datetime(results).removesuffix(".json") == utils.get_file_datetime(paths[0])
    assert [
        utils.get_file_task_name(Path(path).name) for path in utils.get_sample_results_filenames(paths)
    ] == [
        "ifeval",
        "mmlu_x",
        "text",
    ]
    found = json.loads(Path(results).read_text())
    table = utils.make_table(found)
    assert "|mmlu_x" in table
    assert "|0.2500|" in table.replace(" ", "")
    for path, cell in zip(utils.get_sample_results_filenames(paths), CELLS, strict=True):
        rows = [json.loads(line) for line in Path(path).read_text("utf-8").splitlines()]
        assert {*SampleResult.__required_keys__} <= {*rows[0]}
        for row in rows:
            text = json.dumps(row["doc"], indent=2, default=utils.handle_non_serializable, ensure_ascii=False)
            assert row["doc_hash"] == utils.hash_string(text)
            assert row["prompt_hash"] == utils.hash_string(row["arguments"]["gen_args_0"]["arg_0"])
            assert row["target_hash"] == utils.hash_string(row["target"])
        aggregations = {
            "inst_level_strict_acc": lambda values: metrics.mean(
                [each for value in values for each in value]
            ),
            "word_perplexity": metrics.weighted_perplexity,
            "bits_per_byte": metrics.bits_per_byte,
        }
        for metric in cell.metrics:
            mean = aggregations.get(metric.name, metrics.mean)([row[metric.name] for row in rows])
            assert mean == pytest.approx(
                found["results"][utils.get_file_task_name(Path(path).name)][f"{metric.name},none"]
            )


def test_lm_evals_samples_are_a_data_set(tmp_path: Path) -> None:
    datasets = pytest.importorskip(
        "datasets", reason="datasets, with which lm-eval reads samples, is missing"
    )
    for path in export(CELLS, tmp_path / "out", "lm-eval", now=NOW)[:-1]:
        table = datasets.load_dataset(
            "json", data_files=str(path), split="train", cache_dir=str(tmp_path / "cache")
        )
        assert table["doc_id"] == list(range(len(table)))


def test_inspect_reads_its_logs(tmp_path: Path) -> None:
    log = pytest.importorskip("inspect_ai.log", reason="inspect_ai is not installed")
    for path, cell in zip(export(CELLS, tmp_path, "inspect", now=NOW), CELLS, strict=True):
        found = log.read_eval_log(str(path))
        assert (found.status, found.eval.model, found.eval.task) == ("success", "org/m", cell.suite)
        assert [sample.id for sample in found.samples] == [record.task.id for record in cell.records]
        first, record = found.samples[0], cell.records[0]
        scored = {name.removesuffix(", nats"): score.as_float() for name, score in first.scores.items()}
        assert scored == pytest.approx(record.metrics)
        assert log.read_eval_log_sample(str(path), id=record.task.id, epoch=1).id == record.task.id
        assert len(log.read_eval_log_sample_summaries(str(path))) == len(cell.records)
        assert log.read_eval_log(str(path), header_only=True).results == found.results
        means = {score.name: score.metrics["mean"].value for score in found.results.scores}
        nats = {metric.name: ", nats" * (metric.scale == "exp") for metric in cell.metrics}
        assert [*means] == [name + unit for name, unit in nats.items()]
        # Written anew by Inspect, in both of its formats, it is still the same log to us.
        for again in (tmp_path / "again.json", tmp_path / "again.eval"):
            log.write_eval_log(found, str(again))
            [ours], [theirs] = read_logs(path), read_logs(again)
            assert [item.metrics for item in ours.items] == [item.metrics for item in theirs.items]
            assert [item.response for item in ours.items] == [item.response for item in theirs.items]


def test_perplexities_are_called_the_same_in_a_log_of_inspect_and_in_ours(tmp_path: Path) -> None:
    [path] = export([texts()], tmp_path, "inspect", now=NOW)
    [theirs] = read_logs(path)
    assert theirs.metrics == cell_log(texts(), ".").metrics == ["bits_per_byte", "word_perplexity, nats"]


def test_lm_eval_is_told_which_instructions_are_followed_and_how_answers_are_written(
    tmp_path: Path,
) -> None:
    cell = instructions()
    cell.asked["sampling"] = Sampling(temperature=0.5, stop=("END",))
    path, _ = export([cell], tmp_path, "lm-eval", now=NOW)
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert [row["inst_level_strict_acc"] for row in rows] == [
        [i % 2 == 0, True, i > 2] for i in range(len(rows))
    ]
    how = {"until": ["END"], "max_gen_toks": 32, "temperature": 0.5, "do_sample": True}
    assert rows[0]["arguments"]["gen_args_0"]["arg_1"] == how


def test_suites_whose_names_differ_in_a_mark_are_both_written(tmp_path: Path) -> None:
    cells = [replace(choices(), suite=suite) for suite in ("a:b", "a_b", "a_b_2")]
    *samples, results = export(cells, tmp_path, "lm-eval", now=NOW)
    assert len({*samples}) == 3
    assert [*json.loads(results.read_text())["results"]] == ["a_b", "a_b_2", "a_b_2_2"]
    assert sorted(log.suite for log in read_logs(tmp_path)) == ["a_b", "a_b_2", "a_b_2_2"]


def test_a_perplexity_has_no_error_of_nats(tmp_path: Path) -> None:
    cell = texts()
    alike = [replace(record, weights=dict.fromkeys(record.weights, 5.0)) for record in cell.records]
    export([replace(cell, records=tuple(alike))], tmp_path, "lm-eval", now=NOW)
    found = json.loads(next(tmp_path.rglob("results_*.json")).read_text())["results"]["text"]
    assert found["word_perplexity_stderr,none"] == "N/A"
    assert found["bits_per_byte_stderr,none"] == pytest.approx(1 / math.sqrt(3))


def test_means_are_those_of_the_records(tmp_path: Path) -> None:
    export(CELLS, tmp_path, "lm-eval", now=NOW)
    found = json.loads(next(tmp_path.rglob("results_*.json")).read_text())["results"]
    assert found["mmlu_x"]["acc,none"] == 0.25
    assert found["mmlu_x"]["acc_stderr,none"] == 0.25
    assert found["ifeval"]["inst_level_strict_acc,none"] == pytest.approx((3 + 5 + 2) / 15)
    nats = (3 * 5 + 4 * 10 + 5 * 15) / 30
    assert found["text"]["word_perplexity,none"] == pytest.approx(math.exp(nats))
