"""Settings that have an effect only beside others: given where they have none, they are refused."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from biddable import registry
from biddable.config import walk
from biddable.errors import InputError
from biddable.methods import base
from biddable.methods.act.rt_h import RtHConfig
from biddable.methods.base import Method, configure, prepare


def installed(*packages: str) -> None:
    """Skip where a package is missing; none is imported, for MuJoCo draws only if it is set up before."""
    if missing := [name for name in packages if find_spec(name) is None]:
        pytest.skip(f'{missing[0]} is not installed: pip install "biddable[envs]"')


@pytest.fixture
def any_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings are looked at, whatever is installed."""
    monkeypatch.setattr(base, "require_packages", lambda method: None)


METHODS = [pytest.param(registry.find("methods", name), id=name) for name in registry.names("methods")]
CONDITION = re.compile(r"(no )?(?P<name>[a-z_.]+)((=[\w-]+)|(<\d+))?")


@pytest.mark.parametrize("method", METHODS)
def test_all_names_are_those_of_settings(method: type[Method]) -> None:
    known = [setting.name for setting in walk(method.Config)]
    groups = {name.rpartition(".")[0] for name in known}
    for when, names in method.only.items():
        conditions = [CONDITION.fullmatch(each) for each in when.split(" or ")]
        assert all(conditions), when
        assert {each["name"] for each in conditions if each} <= {*known}
        assert {*names} <= {*known, *groups}


@pytest.mark.usefixtures("any_packages")
@pytest.mark.parametrize("method", METHODS)
def test_presets_are_made_and_may_set_what_has_no_effect(method: type[Method]) -> None:
    for preset in ("default", *method.presets):
        prepare(method, preset)


def given(**options: Any) -> Any:
    return {name.replace("__", "."): value for name, value in options.items()}


@pytest.mark.usefixtures("any_packages")
@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("soar", given(data="d", env="e", rooms__demos=5), "rooms.demos is 5, expected nothing: it has an "
         "effect only without --data"),
        ("soar", given(data="d", rooms={"objects": 3}), "rooms.objects is 3"),
        ("soar", given(test_share=0.3), "test_share is 0.3, expected nothing: it has an effect only with"),
        ("rt-h", given(data="d", trials=3), "only without --data"),
        ("rt-h", given(held_out=0.2), "only with --data"),
        ("rt-h", given(data="d", network__tune__steps=3), "only without --data or with --corrections"),
        ("rt-h", given(network__head="gaussian", network__bins=9), "only with --network.head binned"),
        ("grif", given(data="d", free=10), "only without --data"),
        ("grif", given(data="d", cases=10), "only without --data or with --env"),
        ("grif", given(joint=False, align=0.5), "only with --joint"),
        ("inverse-dynamics", given(data="d", demos=10), "only without --data"),
        ("tage", given(data="d", parser="p", seeds=2), "only without --parser"),
        ("tage", given(data="d", train=20), "only without --data"),
        ("tage", given(dev_share=0.2), "only with --data"),
        ("tage", given(sft__lr=1e-4), "sft.lr is 0.0001, expected nothing: it"),
        ("antgpt", given(data="d", goals=20), "only without --data"),
        ("web-navigation", given(browser_tasks=(), browser_cases=3), "only with --browser-tasks"),
        ("words-as-beacons", given(teacher_model="", teacher_levels=3), "only with --teacher-model"),
        ("spar", given(tasks="t", compose__rules=2), "only without --tasks"),
        ("spar", given(votes=3), "only with --judge self"),
        ("spar", given(compose__held_out_types=(), test__held_out=5), "only with --compose.held-out-types"),
        ("grpo", given(test__ifeval_tokens=64), "only with --test.ifeval"),
        ("it-vs-icl", given(tuned="t", sft__lr=1e-4), "only without --tuned"),
        ("quick-learners", given(starts=("a", "b"), bare_start=True), "only with fewer than 2 --starts"),
        ("verbalizer-manipulation", given(data=("d",), items=4), "only without --data"),
        ("ape", given(c=2.0), "only with --search ucb"),
        ("ape", given(prompt="p", template="chat"), "only without --prompt"),
        ("teach-or-show", given(prompt="p", template="none"), "only without --prompt"),
        ("ape", given(outputs="chosen", max_tokens=4), "only with --outputs auto or with --outputs written"),
        ("ensemble-instruct", given(test=0, metrics=("rouge_l",)), "only with --test"),
        ("ensemble-instruct", given(baseline=False, student_model="smollm2"), "only with --baseline"),
        ("ensemble-instruct", given(test=0, student_model="m", sft__lr=1e-4), "only with --test"),
        ("instruct-mining", given(indicators=("mtld",), neighbour=2), "only with --indicators knn"),
        ("instruct-mining", given(trials=2), "only with --keep 0"),
        ("instruct-mining", given(data="d", dev="d", held_out=0.3), "only without --dev"),
        ("instruct-skillmix", given(skills="s", proof__test=9), "only without --skills"),
        ("instruct-skillmix", given(judge="rules", student="m"), "only with --skills or with --topics"),
    ],
)  # fmt: skip
def test_what_has_no_effect_is_refused_in_one_line(name: str, options: Any, message: str) -> None:
    method = registry.find("methods", name)
    for preset in ("default", "smoke"):
        with pytest.raises(InputError) as caught:
            prepare(method, preset, options)
        assert message in str(caught.value)
        assert caught.value.exit_code == 2


@pytest.mark.usefixtures("any_packages")
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("soar", given(rooms__demos=5)),
        ("soar", given(data="d", env="e", test_share=0.3)),
        ("rt-h", given(data="d", corrections="c", network__tune__steps=3)),
        ("grif", given(data="d", env="e", cases=10)),
        ("tage", given(lora_seeds=1, sft__lr=1e-4)),
        ("instruct-mining", given(keep=0, trials=2)),
        ("quick-learners", given(starts=("a", "b"), positive=1)),
        ("quick-learners", given(starts=("a", "b"), bare_start=False)),
        ("grif", given(data=None, unlabelled=None, part="", env="")),
        ("spar", given(compose__held_out_types=(), test__held_out=0)),
        ("instruct-skillmix", given(skills="s", student="m", judge="rules")),
    ],
)
def test_what_has_one_is_taken(name: str, options: Any) -> None:
    method = registry.find("methods", name)
    assert prepare(method, "smoke", options).config == configure(method, "smoke", options)


@pytest.mark.usefixtures("any_packages")
def test_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="only without --data"):
        base.run("grif", data="nothing", free=10)
    assert not list(tmp_path.iterdir())


def test_axes_of_the_table_are_the_default() -> None:
    installed("mujoco")
    from biddable.experiments.table_play import AXES

    assert RtHConfig().axes == AXES


ACTING = [each.values[0] for each in METHODS if each.values[0].family() == "act"]


@pytest.mark.parametrize(
    ("method", "preset"), [(method, preset) for method in ACTING for preset in ("default", *method.presets)]
)
def test_every_preset_of_an_acting_method_passes_its_check(method: type[Method], preset: str) -> None:
    installed("gymnasium", "minari", "minigrid", "miniwob", "mujoco")
    prepare(method, preset).check()
