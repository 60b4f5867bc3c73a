"""Every format is told by what it holds, read into the same noun, or refused in one line."""

from __future__ import annotations

import json
import struct
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from biddable.errors import BiddableError, FileError
from biddable.suites.logs import Log, Own, read_logs
from biddable.suites.logs import inspect_log as inspect_reader

from .made import PROMPTS, archive, inspect_log, lines, review, sample, verdicts


def read(path: Path, own: Own | None = None) -> Log:
    [log] = read_logs(path, own)
    return log


def mean(log: Log, metric: str) -> float:
    weights = [item.weights.get(metric, 1.0) for item in log.items]
    total = sum(item.metrics[metric] * weight for item, weight in zip(log.items, weights, strict=True))
    return total / sum(weights)


def test_verdicts_count_prompts_and_instructions(tmp_path: Path) -> None:
    log = read(verdicts(tmp_path / "m" / "eval_results_strict.jsonl", [[True, False, False], [True]]))
    assert (log.name, log.suite) == ("m", "ifeval")
    assert mean(log, "prompt_level_strict_acc") == 0.5
    assert mean(log, "inst_level_strict_acc") == 0.5  # 2 of 4 instructions
    assert [item.response for item in log.items] == ["answer 0", "answer 1"]


def test_a_folder_of_verdicts_is_one_log(tmp_path: Path) -> None:
    verdicts(tmp_path / "eval_results_loose.jsonl", [[True, True], [True]], texts=False)
    verdicts(tmp_path / "eval_results_strict.jsonl", [[True, False], [True]])
    log = read(tmp_path)
    assert (mean(log, "prompt_level_strict_acc"), mean(log, "prompt_level_loose_acc")) == (0.5, 1.0)
    assert log.items[0].prompt == PROMPTS[0]
    verdicts(tmp_path / "eval_results_loose.jsonl", [[True, True]], texts=False)
    with pytest.raises(FileError, match=r"1 verdicts, eval_results_strict.jsonl beside it has 2"):
        read_logs(tmp_path)


def test_verdicts_of_several_models_in_one_folder_are_a_log_each(tmp_path: Path) -> None:
    for model, right in (("some-2.5", True), ("some-2.7", False)):
        for reading in ("strict", "loose"):
            verdicts(tmp_path / f"{model}_{reading}.jsonl", [[right], [True]], texts=reading == "strict")
    logs = {log.name: log for log in read_logs(tmp_path)}
    assert [*logs] == ["some-2.5", "some-2.7"]
    for reading in ("strict", "loose"):
        means = [mean(log, f"prompt_level_{reading}_acc") for log in logs.values()]
        assert means == [1.0, 0.5]
    verdicts(tmp_path / "some-2.5_strict.json", [[True], [True]])
    with pytest.raises(FileError, match=r"holds inst_level_strict_acc, as some-2\.5_strict\.json"):
        read_logs(tmp_path)


def test_a_table_of_another_evaluation_says_nothing_of_samples(tmp_path: Path) -> None:
    lines(tmp_path / "m" / "samples_t_2026-01-02T03-04-05.678901.jsonl", [sample(0, 1.0)])
    table = {"results": {"t": {}}, "n-shot": {"t": 8}, "model_name": "other"}
    (tmp_path / "m" / "results_2025-01-02T03-04-05.678901.json").write_text(json.dumps(table))
    assert (read(tmp_path / "m").name, read(tmp_path / "m").settings) == ("m", {})
    (tmp_path / "m" / "results.json").write_text(json.dumps(table | {"model_name": "mine"}))
    assert (read(tmp_path / "m").name, read(tmp_path / "m").settings) == ("mine", {"shots": 8})


def test_lambadas_perplexity_is_one_of_nats(tmp_path: Path) -> None:
    rows = [sample(n, 1.0, metrics=["perplexity", "acc"], perplexity=-2.0 - n, acc=1.0) for n in range(2)]
    log = read(lines(tmp_path / "samples_lambada.jsonl", rows))
    assert (mean(log, "perplexity, nats"), log.metrics) == (2.5, ["perplexity, nats", "acc"])


def test_samples_of_several_tasks_in_one_file_stay_apart(tmp_path: Path) -> None:
    alike = [sample(2, 1.0), sample(3, 1.0, doc_hash="hash 2")]  # two items of one text
    assert read(lines(tmp_path / "samples_t.jsonl", alike)).notes == ()
    rows = [sample(0, 1.0), sample(1, 1.0), sample(0, 0.0, doc_hash="other"), sample(1, 0.0)]
    log = read(lines(tmp_path / "samples_t.jsonl", rows))
    assert [item.metrics["exact_match"] for item in log.items] == [1.0, 0.5, 0.0]
    assert [item.position for item in log.items] == [0, 1, 2]
    assert log.notes == (
        "1 item in several lines: their scores are means.",
        "A doc_id stands for several documents: items are numbered as they stand in the file.",
    )


def test_what_no_filter_of_lm_eval_could_read_is_unparsable(tmp_path: Path) -> None:
    rows = [
        sample(place, 0.0, filter=name, filtered_resps=[read])
        for place, name, read in (
            (0, "strict", "[invalid]"),
            (0, "flexible", "[invalid]"),
            (1, "strict", "[invalid]"),
            (1, "flexible", "3"),
        )
    ]
    log = read(lines(tmp_path / "samples_t.jsonl", rows))
    assert [item.unparsable for item in log.items] == [True, False]


def test_each_filter_keeps_its_weights(tmp_path: Path) -> None:
    rows = [sample(0, 1.0, metrics=["inst"], inst=[True, False], filter=name) for name in ("a", "b")]
    assert read(lines(tmp_path / "samples_t.jsonl", rows)).items[0].weights == {"inst,a": 2.0, "inst,b": 2.0}


def test_samples_of_lm_eval_have_their_results_beside_them(tmp_path: Path) -> None:
    date = "2026-01-02T03-04-05.678901"
    rows = [sample(0, 1.0), sample(1, 0.0)]
    path = lines(tmp_path / f"samples_gsm8k_cot_{date}.jsonl", rows)
    results = {"results": {"gsm8k_cot": {}}, "n-shot": {"gsm8k_cot": 8}, "model_name": "org/model"}
    (tmp_path / f"results_{date}.json").write_text(json.dumps(results | {"config": {"limit": 2}}))
    for each in (path, tmp_path):
        log = read(each)
        assert (log.name, log.suite, log.notes) == ("org/model", "gsm8k_cot", ())
        assert log.settings == {"shots": 8, "limit": 2}
        assert [item.metrics for item in log.items] == [{"exact_match": 1.0}, {"exact_match": 0.0}]
        assert (log.items[0].document, log.items[0].prompt) == ("hash 0", PROMPTS[0])


def test_each_filter_of_lm_eval_is_a_metric(tmp_path: Path) -> None:
    rows = [sample(0, 1.0, filter="strict"), sample(0, 0.0, filter="flexible")]
    log = read(lines(tmp_path / "samples_t.jsonl", rows))
    assert [item.metrics for item in log.items] == [{"exact_match,strict": 1.0, "exact_match,flexible": 0.0}]


def test_lm_evals_lists_are_weighed_and_what_is_of_all_items_is_named(tmp_path: Path) -> None:
    row = sample(0, 1.0, metrics=["inst", "word_perplexity", "bleu"])
    row |= {"inst": [True, False, True, True], "word_perplexity": [-12.0, 6], "bleu": ["ref", "pred"]}
    log = read(lines(tmp_path / "samples_t.jsonl", [row]))
    assert log.items[0].metrics == {"inst": 0.75, "word_perplexity, nats": 2.0}
    assert log.items[0].weights == {"inst": 4.0, "word_perplexity, nats": 6.0}
    assert log.notes == ("bleu is of all items together: left out.",)


def test_the_choice_of_lm_eval_is_the_likeliest(tmp_path: Path) -> None:
    arguments = {f"gen_args_{i}": {"arg_0": "Q", "arg_1": f" choice {i}"} for i in range(2)}
    chosen = [["-3.5", "False"], ["-1.25", "True"]]
    row = sample(0, 1.0, arguments=arguments, resps=[[chosen[0]], [chosen[1]]], filtered_resps=chosen)
    log = read(lines(tmp_path / "samples_t.jsonl", [row]))
    assert (log.items[0].response, log.notes) == (" choice 1", ())
    older = row | {"arguments": [["Q", " choice 0"], ["Q", " choice 1"]]}
    assert read(lines(tmp_path / "samples_t.jsonl", [older])).items[0].response == " choice 1"


def test_inspect_scores_become_numbers(tmp_path: Path) -> None:
    values: list[Any] = ["C", "I", "P", "N", True, 0.3, "0.25", {"a": 1, "b": "I"}, None]
    path = tmp_path / "log.json"
    path.write_text(json.dumps(inspect_log(values)))
    items = read(path).items
    assert [item.metrics.get("match") for item in items] == [1, 0, 0.5, 0, 1, 0.3, 0.25, None, None]
    assert items[7].metrics == {"match/a": 1.0, "match/b": 0.0}
    assert [item.unparsable for item in items] == [place in (3, 8) for place in range(9)]
    assert (items[0].id, items[0].prompt, items[0].response) == ("1", PROMPTS[0], "said 0")


def test_an_inspect_archive_is_the_same_log_in_the_order_of_its_samples(tmp_path: Path) -> None:
    log = inspect_log(["C", "I"] * 6)
    log["eval"]["dataset"]["sample_ids"] = list(range(1, 13))
    packed = read(archive(tmp_path / "log.eval", log))
    (tmp_path / "log.json").write_text(json.dumps(log))
    plain = read(tmp_path / "log.json")
    assert [item.id for item in packed.items] == [str(i) for i in range(1, 13)]
    assert [item.metrics for item in packed.items] == [item.metrics for item in plain.items]
    assert packed.settings == plain.settings


def test_epochs_of_inspect_are_means_and_long_texts_are_put_back(tmp_path: Path) -> None:
    log = inspect_log(["C", "I"], ids=[7, 7])
    log["samples"][1]["epoch"] = 2
    log["samples"][0] |= {"input": "attachment://abc", "attachments": {"abc": "a long question"}}
    found = read(archive(tmp_path / "log.eval", log))
    assert [(item.metrics, item.prompt) for item in found.items] == [({"match": 0.5}, "a long question")]
    assert found.notes == ("1 item with several epochs: their scores are means.",)


def zstandard(path: Path, members: dict[str, bytes]) -> Path:
    """A ZIP archive packed by Zstandard, as Inspect writes them; Python before 3.14 cannot."""
    body, directory = b"", b""
    codec = pa.Codec("zstd")
    for name, data in members.items():
        packed, raw = codec.compress(data, asbytes=True), name.encode()
        sizes = struct.pack("<IIIHH", 0, len(packed), len(data), len(raw), 0)
        directory += b"PK\x01\x02" + struct.pack("<HHHHHH", 20, 20, 0, 93, 0, 0) + sizes
        directory += struct.pack("<HHHII", 0, 0, 0, 0, len(body)) + raw
        body += b"PK\x03\x04" + struct.pack("<HHHHH", 20, 0, 93, 0, 0) + sizes + raw + packed
    end = struct.pack("<HHHHIIH", 0, 0, len(members), len(members), len(directory), len(body), 0)
    path.write_bytes(body + directory + b"PK\x05\x06" + end)
    return path


def test_an_archive_packed_by_zstandard_is_read(tmp_path: Path) -> None:
    log = inspect_log(["C"])
    header = json.dumps({key: log[key] for key in log if key != "samples"}).encode()
    sample = json.dumps(log["samples"][0]).encode()
    path = zstandard(tmp_path / "log.eval", {"header.json": header, "samples/1_epoch_1.json": sample})
    assert [item.metrics for item in read(path).items] == [{"match": 1.0}]


@pytest.mark.parametrize("how", ["deflate", "zstd"])
def test_a_bomb_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    monkeypatch.setattr(inspect_reader, "MOST_BYTES", 2**20)
    log, path = inspect_log(["C"]), tmp_path / "log.eval"
    header = json.dumps({key: log[key] for key in log if key != "samples"}).encode()
    members = {"header.json": header, "samples/1_epoch_1.json": b" " * 2**26}
    if how == "zstd":
        zstandard(path, members)
    else:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
            for name, data in members.items():
                file.writestr(name, data)
    with pytest.raises(FileError, match=r"1_epoch_1.json in it is more than 1 MiB, which is not read"):
        read_logs(path)


def test_all_members_together_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = archive(tmp_path / "log.eval", inspect_log(["C"] * 50))
    monkeypatch.setattr(inspect_reader, "MOST_IN_ALL", 2_000)
    with pytest.raises(FileError, match="which is not read"):
        read_logs(path)


def test_reviews_of_evalscope_and_what_stands_beside_them(tmp_path: Path) -> None:
    rows = [
        review(1, {"prompt_level_strict": 1.0, "inst_level_strict": 0.5}),
        review(0, {"prompt_level_strict": 0}),
    ]
    lines(tmp_path / "reviews" / "qwen" / "ifeval_default.jsonl", rows)
    lines(tmp_path / "predictions" / "qwen" / "ifeval_default.jsonl", [{"index": 1, "model_output": {}}])
    (tmp_path / "report.json").write_text(
        json.dumps({"dataset_name": "ifeval", "metrics": [], "model_name": "q"})
    )
    log = read(tmp_path)
    assert (log.name, log.suite) == ("qwen", "ifeval")
    assert log.items[0].metrics == {"prompt_level_strict_acc": 1.0, "inst_level_strict": 0.5}
    assert [(item.id, item.prompt) for item in log.items] == [("1001", PROMPTS[1]), ("1000", PROMPTS[0])]


def test_reviews_of_several_subsets_in_one_file_stay_apart(tmp_path: Path) -> None:
    other = review(1, {"acc": 0.0}) | {"index": 0}
    other["sample_score"] |= {"group_id": 0}
    log = read(lines(tmp_path / "reviews" / "qwen" / "all.jsonl", [review(0, {"acc": 1.0}), other]))
    assert [(item.position, item.metrics["acc"]) for item in log.items] == [(0, 1.0), (1, 0.0)]
    assert log.notes == ("An index stands for several items: they are numbered as they stand in the file.",)


def test_subsets_of_a_suite_are_its_groups(tmp_path: Path) -> None:
    for subset in ("anatomy", "college law"):
        lines(tmp_path / "reviews" / "qwen" / f"mmlu_{subset}.jsonl", [review(0, {"acc": 1.0})])
    (tmp_path / "report.json").write_text(
        json.dumps({"dataset_name": "mmlu", "metrics": [], "model_name": "q"})
    )
    log = read(tmp_path)
    assert (log.suite, [item.group for item in log.items]) == ("mmlu", ["anatomy", "college law"])
    assert [item.position for item in log.items] == [0, 1]


def test_responses_are_judged_by_their_tasks(tmp_path: Path) -> None:
    task = {"key": 1, "prompt": PROMPTS[2], "instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]}
    tasks = lines(tmp_path / "tasks.jsonl", [task, task | {"key": 2, "prompt": PROMPTS[3]}])
    path = lines(tmp_path / "mine.jsonl", [{"prompt": PROMPTS[2], "response": "no, never"}])
    with pytest.raises(FileError, match=r"mine.jsonl: responses without scores: name their tasks \(--tasks"):
        read_logs(path)
    log = read(path, Own(tasks))
    assert [item.metrics["prompt_level_strict_acc"] for item in log.items] == [0.0, 0.0]
    assert log.notes == ("1 task of 2 without a response, counted as failed.",)


OLD = [
    ({"doc_id": 0, "prompt_0": "Q", "logit_0": -1.0, "truth": 1, "acc": "True"}, "0.3 wrote out"),
    ({"results": {"t": {}}, "versions": {"t": 1}, "config": {}}, "table of results"),
    ({"choices": [], "raw_input": {}, "model_spec": {}, "index": 0}, "before 1.0"),
    ({"index": 0, "model_output": {"choices": []}}, "predictions, which hold no scores"),
    ({"version": 1, "status": "success", "eval": {}, "samples": []}, "version 1, expected version 2"),
    ({"version": 3, "status": "success", "eval": {}, "samples": []}, "version 3, expected version 2"),
    ({"version": 2, "status": "success", "eval": {}, "plan": {}}, "without its samples"),
    ({"something": 1}, "no log that is known"),
    ({"follow_instruction_list": "True", "instruction_id_list": ["a"]}, "expected a list of true and false"),
    ({"follow_instruction_list": [True], "instruction_id_list": ["a", "b"]}, "1 verdicts for 2 instructions"),
    ({"doc_id": "a", "doc": {}, "resps": []}, "doc_id: expected an integer"),
    ({"sample_score": {"score": 1}}, "sample_score.score.value: expected an object"),
]


@pytest.mark.parametrize(("row", "problem"), OLD, ids=[problem for _, problem in OLD])
def test_what_cannot_be_read_is_one_line(tmp_path: Path, row: dict[str, Any], problem: str) -> None:
    path = lines(tmp_path / "log.jsonl", [row])
    with pytest.raises(BiddableError, match=problem) as caught:
        read_logs(path)
    assert "log.jsonl" in str(caught.value)


def test_an_archive_that_is_none_or_damaged_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "log.eval"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("notes.txt", "x")
    with pytest.raises(FileError, match="a ZIP archive that is no log"):
        read_logs(path)
    whole = archive(path, inspect_log(["C"] * 5)).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FileError, match="cannot be read"):
        read_logs(path)
    broken = bytearray(whole)
    broken[80:300] = b"\0" * 220
    path.write_bytes(broken)
    with pytest.raises(FileError):
        read_logs(path)


def test_one_bad_file_of_a_folder_is_named_and_the_rest_is_read(tmp_path: Path) -> None:
    lines(tmp_path / "samples_a.jsonl", [sample(0, 1.0)])
    (tmp_path / "samples_b.jsonl").write_text("{broken")
    lines(tmp_path / "other.jsonl", [{"x": 1}])
    [log] = read_logs(tmp_path)
    assert log.suite == "a"
    assert "samples_b.jsonl:1: not JSON" in log.notes[0]
    assert log.notes[1] == "1 file without scores left aside: other.jsonl."


def test_what_is_not_there_is_one_line(tmp_path: Path) -> None:
    for name in ("gone", "gone.eval"):
        with pytest.raises(FileError, match="no such file"):
            read_logs(tmp_path / name)
    with pytest.raises(FileError, match="holds no log"):
        read_logs(tmp_path)


REAL = Path(__file__).parents[4] / "shared" / "data" / "ifeval_logs"


@pytest.mark.skipif(not REAL.is_dir(), reason="the published logs are not here")
def test_published_logs_have_their_published_means() -> None:
    logs = {log.name: log for log in read_logs(REAL / "evalscope")}
    assert mean(logs["qwen-plus"], "prompt_level_strict_acc") == 0.9
    assert mean(logs["qwen-plus"], "inst_level_strict") == pytest.approx(0.9667, abs=1e-4)
    [popularity] = read_logs(next((REAL / "inspect").glob("2025-02-11*.eval")))
    assert mean(popularity, "match") == 0.8
    [llama] = read_logs(next((REAL / "m_ifeval").glob("en_hugging*")))
    assert (len(llama.items), round(mean(llama, "prompt_level_strict_acc"), 4)) == (541, 0.7209)
