"""Settings classes: frozen, checked when they are made, nested to any depth, addressed by dotted names.

::

    @settings
    class DpoConfig:
        lr: Annotated[float, Field(gt=0)] = 5e-7

    @settings
    class SparConfig:
        dpo: DpoConfig = DpoConfig(lr=1e-4)

    configure(SparConfig, {"dpo.lr": 3e-4})          # or {"dpo": {"lr": 3e-4}}

A field is declared once, in the class it belongs to, with its bounds (pydantic's ``Field``), its default
and a docstring, which is the command line's help. A check of several fields is a ``model_validator`` that
raises ``InputError``. Whatever is wrong, in Python or on a command line, is one ``InputError`` that names
the field by its dotted name.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, NamedTuple, TypeGuard, TypeVar, dataclass_transform, get_args

from pydantic import ConfigDict, Field, ValidationError
from pydantic.dataclasses import dataclass
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticUndefined

from biddable.errors import InputError

Settings = TypeVar("Settings")


class UnknownSetting(InputError):
    """There is no setting of that name."""


Count = Annotated[int, Field(ge=1)]
Natural = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]

REQUIRED: Any = PydanticUndefined
"""The default of a setting that has none."""

_CONFIG = ConfigDict(use_attribute_docstrings=True, extra="forbid", allow_inf_nan=False)

_EXPECTED = {
    "missing": "a value: it has no default",
    "literal_error": "{expected}",
    "int_type": "an integer",
    "int_parsing": "an integer",
    "int_from_float": "an integer",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "a text",
    "path_type": "a path",
    "greater_than": "{number} above {gt:.15g}",
    "greater_than_equal": "{number} of at least {ge:.15g}",
    "less_than": "{number} below {lt:.15g}",
    "less_than_equal": "{number} of at most {le:.15g}",
    "too_short": "at least {min_length} of them",
    "too_long": "at most {max_length} of them",
    "string_too_short": "a text of at least {min_length} characters",
}
"""What would have been right, by pydantic's name of the error; its own words stand for the others."""


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(dataclasses.field, Field))
def settings(cls: type[Settings]) -> type[Settings]:
    """Make ``cls`` a settings class: a frozen pydantic dataclass that raises ``InputError``.

    A field that a subclass declares anew, to change its default, keeps the docstring it had. Where a
    field is a settings class itself, a mapping for it goes over its default instance. Numbers are finite
    unless the field says ``allow_inf_nan=True``.
    """
    made: Any = dataclass(frozen=True, kw_only=True, config=_CONFIG)(cls)
    if not made.__pydantic_complete__:  # completing it later would undo what follows
        raise TypeError(f"{cls.__name__}: a settings class needs the types of its fields when it is defined")
    for base in made.__mro__[1:]:
        for name, field in getattr(base, "__pydantic_fields__", {}).items():
            made.__pydantic_fields__[name].description = (
                made.__pydantic_fields__[name].description or field.description
            )
    made.__init__ = _refusing(made.__init__)
    return made


def configure(cls: type[Settings], values: Mapping[str, Any], base: Settings | None = None) -> Settings:
    """The settings ``base`` (or the defaults of ``cls``) with ``values`` over them.

    Args:
        cls: a settings class.
        values: by name, by dotted name, or nested: ``{"dpo.lr": 1e-4}`` is ``{"dpo": {"lr": 1e-4}}``.
            What an inner instance is not given here it keeps.
        base: an instance of ``cls``.

    Raises:
        InputError: a name that there is not (the nearest are offered), one given twice, or a value that
            its field does not take.
    """
    return cls(**_resolved(cls, values, base))


def merged(cls: type, *layers: Mapping[str, Any]) -> dict[str, Any]:
    """Values for ``cls`` of several layers as one; a later layer replaces an earlier one, name by name.

    Raises:
        InputError: as ``configure``, where a layer changes a whole instance of an earlier one.
    """
    tree: dict[str, Any] = {}
    for layer in layers:
        for name, value in _nested(layer).items():
            known, inner = tree.get(name), _inner_class(cls, name)
            if inner is None or not isinstance(value, Mapping):
                tree[name] = value
            elif is_settings(known):
                tree[name] = _configured(cls, name, type(known), value, known)
            else:
                tree[name] = merged(inner, known or {}, value) if isinstance(known or {}, Mapping) else value
    return tree


class Setting(NamedTuple):
    """A field that is no settings class itself.

    Attributes:
        name: its dotted name.
        field: its annotation, bounds and docstring.
        default: what it is if nothing is said; ``REQUIRED`` where it must be.
        group: the settings class that declares it.
    """

    name: str
    field: FieldInfo
    default: Any
    group: type


def walk(cls: type, base: Any = None) -> Iterator[Setting]:
    """Every setting of ``cls``, the inner ones too, in the order of their declaration.

    Args:
        base: an instance, whose values are given as the defaults; inner settings that it has none of are
            one setting, which is None.
    """
    for name, field in fields_of(cls).items():
        default, inner = _current(cls, name, base), _inner_class(cls, name, base)
        if inner is None or (base is not None and default is None):
            yield Setting(name, field, default, cls)
        else:
            values = default if is_settings(default) else None
            yield from (setting._replace(name=f"{name}.{setting.name}") for setting in walk(inner, values))


def flattened(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values by dotted name, those of inner mappings and inner settings too."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if is_settings(value):
            value = {setting.name: setting.default for setting in walk(type(value), value)}
        inner = flattened(value) if isinstance(value, Mapping) else {}
        flat |= {f"{name}.{each}": part for each, part in inner.items()} or {name: value}
    return flat


def fields_of(cls: type) -> dict[str, FieldInfo]:
    """The fields of a settings class by name."""
    return cls.__pydantic_fields__  # type: ignore[attr-defined]


def is_settings(value: Any) -> TypeGuard[Any]:
    """Whether ``value`` is a settings class or an instance of one."""
    return dataclasses.is_dataclass(value) and hasattr(value, "__pydantic_fields__")


def _refusing(validate: Callable[..., None]) -> Callable[..., None]:
    """``__init__`` of a settings class, made of pydantic's."""

    @functools.wraps(validate)
    def __init__(self: Any, /, **values: Any) -> None:  # noqa: N807
        try:
            validate(self, **_resolved(type(self), values))
        except ValidationError as error:
            raise _input_error(type(self), error.errors()) from None

    return __init__


def _resolved(cls: type, values: Mapping[str, Any], base: Any = None) -> dict[str, Any]:
    """``values`` over those of ``base``, mappings for inner settings made instances."""
    known = fields_of(cls)
    resolved = {name: getattr(base, name) for name in known} if base is not None else {}
    for name, value in _nested(values).items():
        if name not in known:
            raise _unknown(cls, name, value)
        inner = _inner_class(cls, name, base)
        if inner is not None and isinstance(value, Mapping):
            value = _configured(cls, name, inner, value, _current(cls, name, base))
        resolved[name] = value
    return resolved


def _configured(cls: type, name: str, inner: type, values: Mapping[str, Any], current: Any) -> Any:
    """The settings in the field ``name`` of ``cls``; errors have their names within ``cls``."""
    try:
        return configure(inner, values, current if is_settings(current) else None)
    except InputError as error:
        field = f"{name}.{error.field}"
        if isinstance(error, UnknownSetting):
            raise _unknown(cls, field, error.value) from None
        raise InputError(field, error.value, error.expected, where=error.where) from None


def _current(cls: type, name: str, base: Any) -> Any:
    """The value of a field in ``base``, or its default."""
    return (
        fields_of(cls)[name].get_default(call_default_factory=True) if base is None else getattr(base, name)
    )


def _inner_class(cls: type, name: str, base: Any = None) -> type | None:
    """The settings class that a field holds an instance of: that of its value, or else of its type."""
    if name not in fields_of(cls):
        return None
    current, hint = _current(cls, name, base), fields_of(cls)[name].annotation
    if is_settings(current):
        return type(current)
    candidates = get_args(hint) or (hint,)
    return next((each for each in candidates if isinstance(each, type) and is_settings(each)), None)


def _nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """``values`` with the first part of dotted names taken off: ``dpo.lr`` as ``lr`` within ``dpo``.

    Raises:
        InputError: a setting is given twice, as ``dpo.lr`` and within ``dpo``.
    """
    tree: dict[str, Any] = {}
    for name, value in values.items():
        first, _, rest = str(name).partition(".")
        inner = {rest: value} if rest else value
        tree[first] = _joined(first, tree[first], inner) if first in tree else inner
    return tree


def _joined(name: str, first: Any, second: Any) -> Any:
    """Two values given for one name, which must be of different settings in it."""
    if not (isinstance(first, Mapping) and isinstance(second, Mapping)):
        raise InputError(name, second, "one value: it is given twice")
    twice = {
        inner: _joined(f"{name}.{inner}", first[inner], second[inner]) for inner in first if inner in second
    }
    return {**first, **second, **twice}


def _unknown(cls: type, name: str, value: Any) -> UnknownSetting:
    """No such name: offer those that end like it, or are spelled like it, or all."""
    while isinstance(value, Mapping) and len(value) == 1:  # dpo.lr, taken apart
        [(inner, value)] = value.items()
        name = f"{name}.{inner}"
    known = [setting.name for setting in walk(cls)]
    last = name.rpartition(".")[2]
    near = [each for each in known if each.rpartition(".")[2] == last]
    near = near or difflib.get_close_matches(name, known, n=3, cutoff=0.6)
    return UnknownSetting(name, value, "one of the settings " + ", ".join(near or known))


def _input_error(cls: type, errors: list[ErrorDetails]) -> InputError:
    """The first of pydantic's errors; of a union, whose types each have one, all of them."""
    first = errors[0]
    field = _dotted(cls, first["loc"])
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, InputError):
        return InputError(
            f"{field}.{cause.field}".lstrip("."), cause.value, cause.expected, where=cause.where
        )
    expected = dict.fromkeys(_expected(error) for error in errors if _dotted(cls, error["loc"]) == field)
    value = None if first["type"] == "missing" else first["input"]
    return InputError(field or cls.__name__, value, " or ".join(expected))


def _dotted(cls: type | None, loc: tuple[int | str, ...]) -> str:
    """Where an error is, as ``dpo.lr`` or ``stages[1].lr``, without pydantic's names of the types."""
    path, index = "", ""
    for part in loc:
        if isinstance(part, int):
            index = f"[{part}]"
        elif cls is not None and part in fields_of(cls):
            path = f"{path}{index}.{part}".lstrip(".")
            cls, index = _class_within(fields_of(cls)[part].annotation), ""
    return path


def _class_within(hint: Any) -> type | None:
    """The first settings class in a type, however deep."""
    if isinstance(hint, type) and is_settings(hint):
        return hint
    return next(filter(None, map(_class_within, get_args(hint))), None)


def _expected(error: ErrorDetails) -> str:
    if phrase := _EXPECTED.get(error["type"]):
        bounds = error.get("ctx", {})  # integers where the field is one
        number = "an integer" if any(isinstance(bound, int) for bound in bounds.values()) else "a number"
        return phrase.format(number=number, **bounds)
    return error["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
