"""Settings classes: what is checked, how they nest, and what an error says."""

from __future__ import annotations

import math
import pickle
from dataclasses import FrozenInstanceError, asdict, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, model_validator

from biddable.config import REQUIRED, Count, Share, configure, flattened, merged, settings, walk
from biddable.errors import InputError


@settings
class Adapter:
    """An adapter.

    More of it.
    """

    rank: Annotated[int, Field(ge=0)] = 0
    """Its rank."""
    alpha: int = 0
    """Its scale."""


@settings
class Training:
    """How to train."""

    lr: Annotated[float, Field(gt=0)]
    """Highest learning rate."""
    epochs: Count = 1
    """Passes."""
    warmup: Share = 0.1
    """Share of the steps."""
    schedule: Literal["linear", "constant"] = "linear"
    """How it falls."""
    lora: Adapter = Adapter(rank=4)
    """Which adapter."""


@settings
class Preferences(Training):
    """Training on pairs."""

    lr: Annotated[float, Field(gt=0)] = 5e-7
    beta: float = 0.1
    """How strongly it is held."""
    clip: Annotated[float, Field(allow_inf_nan=True)] = math.inf
    """May be infinite."""


@settings
class Part:
    """One of several."""

    share: Share = 0.5


@settings
class Everything:
    """All of it."""

    model: str
    """Which model."""
    dpo: Preferences = Preferences(lr=1e-4, epochs=3, lora=Adapter(rank=8, alpha=2))
    """On pairs."""
    sft: Training = Training(lr=1e-5)
    """On chats."""
    extra: Adapter | None = None
    """Perhaps another."""
    file: Path | None = None
    """A file."""
    arms: tuple[Literal["a", "b"], ...] = ()
    """Some of two."""
    sizes: tuple[Count, ...] = Field(default=(1, 2), max_length=3)
    """Some numbers."""
    parts: tuple[Part, ...] = ()
    """Some settings."""
    rate: Literal["auto"] | Annotated[float, Field(gt=0)] = "auto"
    """A number or a word."""
    loud: bool = False
    """Shout."""
    options: dict[str, int] = Field(default_factory=dict)
    """Whatever."""

    @model_validator(mode="after")
    def _consistent(self) -> Everything:
        if "b" in self.arms and not self.loud:
            raise InputError("arms", self.arms, "b only where loud")
        return self


def made(**values: Any) -> Everything:
    return configure(Everything, {"model": "m", **values})


def message(**values: Any) -> str:
    with pytest.raises(InputError) as caught:
        made(**values)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_a_nested_default_keeps_its_other_values() -> None:
    changed = made(**{"dpo.lora.rank": 16, "dpo.beta": 0.5})
    assert changed.dpo == Preferences(lr=1e-4, epochs=3, beta=0.5, lora=Adapter(rank=16, alpha=2))
    assert changed.sft == Training(lr=1e-5)
    assert made(dpo={"lora": {"rank": 16}, "beta": 0.5}) == changed
    assert Everything(model="m", dpo={"lora": {"rank": 16}, "beta": 0.5}) == changed  # type: ignore[arg-type]
    assert isinstance(changed.dpo, Preferences)


def test_values_go_over_a_base_and_the_rest_of_it_stands() -> None:
    base = made(loud=True, dpo=Preferences(epochs=9))
    changed = configure(Everything, {"dpo.lr": 1e-3, "sft": Training(lr=2.0)}, base)
    assert changed == made(loud=True, dpo=Preferences(epochs=9, lr=1e-3), sft=Training(lr=2.0))


def test_optional_settings_are_made_when_they_are_named() -> None:
    assert made().extra is None
    assert made(**{"extra.rank": 2}).extra == Adapter(rank=2)
    assert configure(Everything, {"extra": None}, made(**{"extra.rank": 2})).extra is None


def test_values_are_read_as_a_command_line_writes_them() -> None:
    found = made(**{"dpo.lr": "3e-4", "sizes": ("7", "8"), "file": "x", "loud": "yes", "rate": "0.5"})
    assert (found.dpo.lr, found.sizes, found.file, found.loud, found.rate) == (
        3e-4,
        (7, 8),
        Path("x"),
        True,
        0.5,
    )


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"dpo.lr": -1}, "dpo.lr is -1, expected a number above 0"),
        ({"dpo": {"lora": {"rank": -1}}}, "dpo.lora.rank is -1, expected an integer of at least 0"),
        ({"dpo.epochs": "three"}, "dpo.epochs is 'three', expected an integer"),
        ({"dpo.epochs": 1.5}, "dpo.epochs is 1.5, expected an integer"),
        ({"sft.lr": math.nan}, "sft.lr is nan, expected a finite number"),
        ({"sft.warmup": 2}, "sft.warmup is 2, expected a number of at most 1"),
        ({"dpo.schedule": "cosine"}, "dpo.schedule is 'cosine', expected 'linear' or 'constant'"),
        ({"arms": ("a", "c")}, "arms is 'c', expected 'a' or 'b'"),
        ({"sizes": (1, 0)}, "sizes is 0, expected an integer of at least 1"),
        ({"sizes": (1, 2, 3, 4)}, "sizes is (1, 2, 3, 4), expected at most 3 of them"),
        ({"parts": ({"share": 0.1}, {"share": 3})}, "parts[1].share is 3, expected a number of at most 1"),
        ({"rate": "fast"}, "rate is 'fast', expected 'auto' or a number"),
        ({"loud": "perhaps"}, "loud is 'perhaps', expected true or false"),
        ({"file": 3}, "file is 3, expected a path"),
        ({"arms": ("b",)}, "arms is ('b',), expected b only where loud"),
        ({"model": None}, "model is None, expected a text"),
        ({"dpo": 3}, "dpo is 3, expected "),
        ({"dpo.lrr": 1}, "dpo.lrr is 1, expected one of the settings dpo.lr"),
        ({"lr": 1}, "lr is 1, expected one of the settings dpo.lr, sft.lr"),
        ({"rank": 1}, "rank is 1, expected one of the settings dpo.lora.rank, sft.lora.rank, extra.rank"),
        ({"dpo.alpha": 1}, "dpo.alpha is 1, expected one of the settings dpo.lora.alpha"),
        ({"pdo.lora.rank": 1}, "pdo.lora.rank is 1, expected one of the settings dpo.lora.rank"),
        ({"nothing": {"a": 1, "b": 2}}, "nothing is {'a': 1, 'b': 2}, expected one of the settings "),
        ({"file.name": 1}, "file is {'name': 1}, expected a path"),
        ({"dpo": {1: 2}}, "dpo.1 is 2, expected one of the settings dpo.lr"),
        ({"dpo.lora.rank": 1, "dpo": {"lora": {"rank": 2}}}, "dpo.lora.rank is 2, expected one value"),
        ({"dpo.lr": 1, "dpo": {"lr": 2}}, "dpo.lr is 2, expected one value: it is given twice"),
        ({"dpo": Preferences(), "dpo.lr": 2}, "dpo is {'lr': 2}, expected one value: it is given twice"),
    ],
    ids=str,
)
def test_whatever_is_wrong_is_one_line_with_the_dotted_name(values: dict[str, Any], expected: str) -> None:
    assert message(**values).startswith(expected)


def test_every_setting_is_offered_where_none_is_near() -> None:
    assert "model, dpo.lr, dpo.epochs" in message(zzzzzzzzz=1)


def test_what_has_no_default_must_be_given() -> None:
    with pytest.raises(InputError, match=r"^model is None, expected a value: it has no default"):
        configure(Everything, {})
    with pytest.raises(InputError, match=r"^lr is None, expected a value"):
        Training()  # type: ignore[call-arg]


def test_instances_made_in_python_are_checked_too() -> None:
    with pytest.raises(InputError, match=r"^lr is -1, expected a number above 0$"):
        Preferences(lr=-1)
    with pytest.raises(InputError, match=r"^epochs is 0, "):
        replace(Preferences(), epochs=0)
    with pytest.raises(InputError, match=r"^epoch is 2, expected one of the settings epochs"):
        Preferences(epoch=2)  # type: ignore[call-arg]
    with pytest.raises(FrozenInstanceError):
        Preferences().lr = 1.0  # type: ignore[misc]


def test_settings_go_into_json_and_to_other_processes() -> None:
    found = made(**{"dpo.lr": 2, "parts": ({"share": 0.1},)})
    plain = asdict(found)
    assert plain["dpo"]["lora"] == {"rank": 8, "alpha": 2}
    assert configure(Everything, plain) == found
    assert pickle.loads(pickle.dumps(found)) == found


def layered(*layers: dict[str, Any]) -> Everything:
    return configure(Everything, merged(Everything, {"model": "m"}, *layers))


def test_layers_go_over_each_other_name_by_name() -> None:
    first, second = {"dpo.lr": 1, "dpo.epochs": 2, "arms": ("a",)}, {"dpo": {"lr": 3}, "arms": ()}
    assert layered(first, second) == made(**{"dpo.lr": 3, "dpo.epochs": 2})
    assert layered(second, first) == made(**{"dpo.lr": 1, "dpo.epochs": 2, "arms": ("a",)})
    assert layered({"dpo.lr": 1}, {"dpo": Preferences()}) == made(dpo=Preferences())
    assert layered({"dpo": Preferences(epochs=2)}, {"dpo.lr": 1}) == made(dpo=Preferences(epochs=2, lr=1))
    assert layered({"extra.rank": 1}, {"extra": None}, {"extra.alpha": 2}).extra == Adapter(alpha=2)
    assert layered() == made()
    with pytest.raises(InputError, match=r"^dpo\.lr is -1, "):
        layered({"dpo": Preferences()}, {"dpo.lr": -1})
    with pytest.raises(InputError, match=r"^nothing\.lr is 1, expected one of the settings dpo\.lr"):
        layered({"nothing.lr": 1}, {"nothing.lr": 1})


def test_mappings_that_are_no_settings_stay_as_they_are() -> None:
    options = {"a.b": 1, "a": 2}
    assert made(options=options).options == options
    assert layered({"options": {"c": 3}}, {"options": options}).options == options


def test_flattened_gives_every_value_its_dotted_name() -> None:
    plain = {"dpo": {"lora": Adapter(rank=2), "lr": 1}, "sft.lr": 3, "options": {}}
    assert flattened(plain) == {
        "dpo.lora.rank": 2, "dpo.lora.alpha": 0, "dpo.lr": 1, "sft.lr": 3, "options": {},
    }  # fmt: skip


def test_walk_gives_every_setting_with_its_docstring_and_default() -> None:
    found = {one.name: one for one in walk(Everything)}
    assert list(found)[:4] == ["model", "dpo.lr", "dpo.epochs", "dpo.warmup"]
    assert found["model"].default is REQUIRED
    assert (found["dpo.epochs"].default, found["dpo.lora.rank"].default, found["extra.rank"].default) == (
        3,
        8,
        0,
    )
    assert found["dpo.lr"].field.description == "Highest learning rate."
    assert (found["dpo.lora.rank"].group, found["model"].group) == (Adapter, Everything)
    values = {one.name: one.default for one in walk(Everything, made(**{"dpo.epochs": 7}))}
    assert (values["dpo.epochs"], values["extra"]) == (7, None)


def test_types_that_are_not_there_yet_are_an_error_of_the_program() -> None:
    with pytest.raises(TypeError, match="needs the types of its fields"):

        @settings
        class Later:
            part: NotThere  # type: ignore[name-defined]  # noqa: F821
