"""How a method's configuration is made, and what a run is known by."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from biddable import registry
from biddable.config import Count, Positive, settings
from biddable.errors import InputError, RunError
from biddable.methods import base
from biddable.methods.base import About, Method, configure
from biddable.runs.results import Results
from biddable.runs.run import Run


@settings
class Training:
    """How to train."""

    lr: Positive = 1e-4
    epochs: Count = 1
    teacher_model: str = ""
    judge: str = "rules"


@settings
class NestedConfig:
    """Settings of ``Nested``."""

    model: str = "smollm2"
    models: tuple[str, ...] = ()
    base_models: int = 3
    actor: Training = Training(lr=1e-3, epochs=3)
    data: Path | None = None
    more: tuple[Path, ...] = ()


class Nested(Method):
    about = About(title="t", citation="c", claim="c", needs="n", minutes={}, takes="a file")
    Config = NestedConfig
    presets: ClassVar = {"quick": {"actor.epochs": 1, "actor.lr": 0.5}}

    def run(self, run: Run) -> Results:
        return run.finish([], metrics=asdict(self.config), next_steps=["biddable chat {run}"])


@pytest.fixture(autouse=True)
def nested(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(registry.BUILTIN["methods"], "nested", f"{__name__}:Nested")
    monkeypatch.setattr(base.registry, "find", lambda kind, name: Nested)


def identity(**options: Any) -> dict[str, Any]:
    """What a run with these settings is known by."""
    folder = Path("runs", str(len(list(Path().glob("runs/*")))))
    base.run("nested", out=folder, **options)
    return json.loads((folder / "config.json").read_text())["config"]


@pytest.mark.parametrize("options", [{"actor.lr": 0.2}, {"actor": {"lr": 0.2}}], ids=str)
def test_inner_settings_are_addressed_by_dotted_name_or_nested(options: dict[str, Any]) -> None:
    assert base.run("nested", **options).metrics["actor"] == {
        "lr": 0.2,
        "epochs": 3,
        "teacher_model": "",
        "judge": "rules",
    }


@pytest.mark.parametrize(
    ("options", "actor"),
    [
        ({}, Training(lr=0.5, epochs=1)),
        ({"actor.lr": 2}, Training(lr=2, epochs=1)),
        ({"actor": {"lr": 2}}, Training(lr=2, epochs=1)),
        ({"actor": Training(lr=7)}, Training(lr=7)),
    ],
    ids=str,
)
def test_options_go_over_a_preset_name_by_name(options: dict[str, Any], actor: Training) -> None:
    assert configure(Nested, "quick", options).actor == actor


def test_a_wrong_inner_setting_writes_nothing() -> None:
    with pytest.raises(InputError, match=r"^actor\.epochs is 0, expected an integer of at least 1$"):
        base.run("nested", **{"actor.epochs": 0})
    assert not list(Path().iterdir())


def test_another_inner_setting_needs_another_folder() -> None:
    base.run("nested", out="run")
    with pytest.raises(RunError, match=r"actor\.lr was 0\.001, is now 0\.2"):
        base.run("nested", out="run", **{"actor.lr": 0.2})


def test_files_belong_to_a_run_by_what_is_in_them() -> None:
    Path("a.jsonl").write_text("1")
    Path("b.jsonl").write_text("1")
    first = identity(data="a.jsonl", more=("a.jsonl",))
    assert first["data"].startswith("sha256:")
    assert first["more"] == [first["data"]]
    assert identity(data="b.jsonl", more=("b.jsonl",)) == first
    Path("a.jsonl").write_text("2")
    assert identity(data="a.jsonl")["data"] != first["data"]
    assert identity(data="gone.jsonl")["data"] == "gone.jsonl"


def test_a_changed_file_is_another_run() -> None:
    Path("a.jsonl").write_text("1")
    base.run("nested", out="run", data="a.jsonl")
    base.run("nested", out="run", data="a.jsonl")
    Path("a.jsonl").write_text("2")
    with pytest.raises(RunError, match="data was 'sha256:"):
        base.run("nested", out="run", data="a.jsonl")


def test_folders_belong_to_a_run_by_their_names_and_contents() -> None:
    Path("data/deep").mkdir(parents=True)
    Path("data/deep/a.jsonl").write_text("1")
    first = identity(data="data")
    Path("data/.hidden").write_text("x")
    assert identity(data="data") == first
    Path("data/deep/a.jsonl").write_text("2")
    second = identity(data="data")
    Path("data/deep/a.jsonl").rename("data/deep/b.jsonl")
    assert len({each["data"] for each in (first, second, identity(data="data"))}) == 3


def test_a_run_as_data_is_what_it_left_and_not_its_logs() -> None:
    with Run.open("source", "made", {}, 0) as source:
        source.artifact("data", "a.jsonl").write_text("1")
    first = identity(data="source")
    Path("source/report.html").write_text("anew")
    assert identity(data="source") == first
    Path("source/artifacts/data/a.jsonl").write_text("2")
    assert identity(data="source") != first


def test_weights_that_any_setting_names_belong_to_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        base, "model_identity", lambda name: name if name == "smollm2" else f"digest of {name}"
    )
    found = identity(models=("a", "smollm2"), **{"actor.teacher_model": "b"})
    assert found["weights"] == {"models[0]": "digest of a", "actor.teacher_model": "digest of b"}
    assert "weights" not in identity()


def test_a_judge_belongs_to_a_run_by_its_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    reward = Path("rm/artifacts/judge")
    reward.mkdir(parents=True)
    (reward / "config.json").write_text('{"architectures": ["LlamaForSequenceClassification"]}')
    (reward / "model.safetensors").write_text("1")
    specs = ("rm", "rm?threshold=1", "hf:rm/artifacts/judge", "lm:rm/artifacts/judge")
    first = [identity(**{"actor.judge": spec})["weights"] for spec in specs]
    assert first == [first[0]] * 4
    assert first[0].keys() == {"actor.judge"}
    (reward / "model.safetensors").write_text("22")
    assert identity(**{"actor.judge": "rm"})["weights"] != first[0]
    for spec in ("rules", "lm:smollm2?votes=3", "hf:owner/name"):
        assert "weights" not in identity(**{"actor.judge": spec})


def test_data_of_the_hub_belong_to_a_run_by_content(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "digest", lambda source: f"rows of {source}")
    assert identity(data="hf:owner/name:train")["data"] == "rows of hf:owner/name:train"


def test_a_family_is_a_folder_or_declared(monkeypatch: pytest.MonkeyPatch) -> None:
    inside = type("Inside", (Nested,), {"__module__": "biddable.methods.improve.paper.method"})
    assert [inside.family(), Nested.family()] == ["improve", "other"]
    monkeypatch.setattr(Nested, "about", replace(Nested.about, family="measure"))
    assert Nested.family() == "measure"
