from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from biddable.errors import FileError, InputError, StorageError
from biddable.runs.results import Results, read_results, write_results
from biddable.types import Comparison

SOUND = Comparison("accuracy", 0.25, 0.75, 0.5, (0.25, 0.75), 8, (0, 1), "higher", "held", "base", "spar")


def fields(comparison: Comparison = SOUND, **changes: Any) -> dict[str, Any]:
    plain = {
        "method": "spar",
        "comparisons": [comparison],
        "config": {"branch": 3},
        "environment": {},
        "timing": {},
    }
    return {**plain, **changes}


def test_results_come_back_equal(tmp_path: Path) -> None:
    metrics = {
        "rates": {"strict": np.float64(0.5)},
        "kept": 3,
        "solved": True,
        "curve": (1.0, 2.0),
        "none": None,
    }
    written = write_results(
        tmp_path / "results.json", fields(metrics=metrics, notes=["n"], timing={"s": 1.5})
    )
    assert read_results(tmp_path) == read_results(tmp_path / "results.json") == written
    assert written.comparisons == [SOUND]
    assert written.metrics == {**metrics, "curve": [1.0, 2.0]}
    assert json.loads((tmp_path / "results.json").read_text())["schema_version"] == 1


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (
            {"interval": (0.75, 0.25)},
            r"accuracy: the interval \(0.75, 0.25\) ends before it begins",
        ),
        ({"difference": 0.5 + 1e-6}, "the difference is not method minus baseline"),
        ({"method": float("nan")}, "a number is not finite"),
        ({"interval": (0.25, float("inf"))}, "a number is not finite"),
        ({"n": 0}, "no case or no seed"),
        ({"seeds": ()}, "no case or no seed"),
        (
            {"verdict": "proved"},
            r"comparisons\[0\].verdict: input should be 'held', 'not shown'",
        ),
        ({"verdict": "not shown"}, "the interval says 'held', not 'not shown'"),
        ({"predicted": "lower"}, "the interval says 'contradicted', not 'held'"),
        ({"n": 2.5}, r"comparisons\[0\].n: "),
        ({"role": "control"}, "a control with the verdict held"),
        ({"verdict": None}, "a claim with the verdict None"),
        ({"role": "test"}, r"comparisons\[0\].role: input should be 'claim', 'control' or 'question'"),
        ({"p_value": 1.5}, "the p-value 1.5 is not between 0 and 1"),
    ],
)
def test_unsound_comparisons_are_neither_written_nor_read(
    tmp_path: Path, changes: dict[str, Any], problem: str
) -> None:
    unsound = dataclasses.replace(SOUND, **changes)
    with pytest.raises(InputError, match=problem) as caught:
        write_results(tmp_path / "results.json", fields(unsound))
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []

    file = tmp_path / "results.json"
    file.write_text(json.dumps(fields(comparisons=[dataclasses.asdict(unsound)])))
    with pytest.raises(FileError, match="schema_version is None, this biddable reads 1"):
        read_results(file)
    file.write_text(json.dumps(fields(comparisons=[dataclasses.asdict(unsound)], schema_version=1)))
    with pytest.raises(FileError, match=problem):
        read_results(file)


def test_a_control_and_what_an_interval_is_over_come_back(tmp_path: Path) -> None:
    kind = "t over 2 seeds and 8 cases"
    control = dataclasses.replace(SOUND, role="control", verdict=None, interval_kind=kind, p_value=0.03125)
    write_results(tmp_path / "results.json", fields(control))
    assert read_results(tmp_path).comparisons == [control]


def test_comparisons_of_old_are_claims_whose_interval_is_not_named(tmp_path: Path) -> None:
    new = ("role", "interval_kind", "p_value")
    old = {name: value for name, value in dataclasses.asdict(SOUND).items() if name not in new}
    (tmp_path / "results.json").write_text(json.dumps(fields(comparisons=[old], schema_version=1)))
    assert read_results(tmp_path).comparisons == [SOUND]
    assert (SOUND.role, SOUND.interval_kind, SOUND.p_value) == ("claim", "", None)


def test_a_difference_may_be_off_by_rounding(tmp_path: Path) -> None:
    write_results(tmp_path / "r.json", fields(dataclasses.replace(SOUND, difference=0.5 + 1e-12)))
    equal = dataclasses.replace(SOUND, predicted="equal", verdict="not shown")
    assert write_results(tmp_path / "r.json", fields(equal)).comparisons == [equal]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"metrics": {"a": [1, {"b": float("inf")}]}}, r"metrics: a\[1\].b is not a finite number"),
        ({"timing": {"seconds": float("nan")}}, "timing: seconds is not a finite number"),
        ({"method": ""}, "method: "),
        ({"notes": "one"}, "notes: "),
        ({"speed": 3}, "speed: extra inputs are not permitted"),
    ],
)
def test_unsound_fields_are_refused(tmp_path: Path, changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        write_results(tmp_path / "results.json", fields(**changes))


def test_results_changed_after_they_were_made_are_checked_again(tmp_path: Path) -> None:
    results = Results(**fields())
    results.metrics["rate"] = float("nan")
    with pytest.raises(InputError, match="rate is not a finite number"):
        write_results(tmp_path / "results.json", results)


def test_files_that_hold_no_results(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"results.json: no such file"):
        read_results(tmp_path)
    for content, problem in (
        ("[]", "schema_version is None"),
        ('{"schema_version": 2}', "schema_version is 2"),
    ):
        (tmp_path / "results.json").write_text(content)
        with pytest.raises(FileError, match=problem):
            read_results(tmp_path)


def test_the_old_results_stand_if_the_new_ones_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = write_results(tmp_path / "results.json", fields(notes=["old"]))

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(StorageError, match="no space left on the disk"):
            write_results(tmp_path / "results.json", fields(notes=["new"]))
    assert read_results(tmp_path) == old
