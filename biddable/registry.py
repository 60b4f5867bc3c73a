"""Finding methods, task suites, judges and environments by name.

What the library brings is listed here as ``module:attribute`` and imported only when asked for.
Third parties add their own through entry points in the groups ``biddable.methods``,
``biddable.suites``, ``biddable.judges`` and ``biddable.envs``; a name of ours cannot be taken over.

Judges and suites are made by functions. What stands behind the colon of a name is their argument, what stands
behind the question mark their options, converted to the types that their parameters are annotated with::

    def polite(model: str, strict: bool = False) -> Judge: ...      # polite:smollm2?strict=true
"""

from __future__ import annotations

import difflib
import importlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import entry_points
from typing import Any, Literal, get_origin, get_type_hints
from urllib.parse import parse_qsl

from biddable.errors import InputError

Kind = Literal["methods", "suites", "judges", "envs"]

BUILTIN: dict[str, dict[str, str]] = {
    "methods": {
        "antgpt": "biddable.methods.act.antgpt:AntGpt",
        "ape": "biddable.methods.prompt.ape:Ape",
        "compatible-demos": "biddable.methods.act.compatible_demos:CompatibleDemos",
        "ensemble-instruct": "biddable.methods.data.ensemble_instruct:EnsembleInstruct",
        "grif": "biddable.methods.act.grif:Grif",
        "grpo": "biddable.methods.improve.grpo:Grpo",
        "humpback": "biddable.methods.improve.humpback:Humpback",
        "instruct-mining": "biddable.methods.data.instruct_mining:InstructMining",
        "instruct-skillmix": "biddable.methods.data.instruct_skillmix:InstructSkillMix",
        "instructeval": "biddable.methods.measure.instructeval:InstructEval",
        "inverse-dynamics": "biddable.methods.act.inverse_dynamics:InverseDynamics",
        "it-vs-icl": "biddable.methods.measure.it_vs_icl:ItVsIcl",
        "meta-rewarding": "biddable.methods.improve.meta_rewarding:MetaRewarding",
        "natural-instructions": "biddable.methods.measure.natural_instructions:NaturalInstructions",
        "quick-learners": "biddable.methods.measure.quick_learners:QuickLearners",
        "rt-h": "biddable.methods.act.rt_h:RtH",
        "self-evolution": "biddable.methods.improve.self_evolution:SelfEvolution",
        "self-rewarding": "biddable.methods.improve.self_rewarding:SelfRewarding",
        "soar": "biddable.methods.act.soar:Soar",
        "spar": "biddable.methods.improve.spar:Spar",
        "spar-controlled": "biddable.methods.improve.spar_controlled:SparControlled",
        "tage": "biddable.methods.act.tage:TagE",
        "teach-or-show": "biddable.methods.prompt.teach_or_show:TeachOrShow",
        "verbalizer-manipulation": "biddable.methods.measure.verbalizer_manipulation:VerbalizerManipulation",
        "web-navigation": "biddable.methods.act.web_navigation:WebNavigation",
        "words-as-beacons": "biddable.methods.act.words_as_beacons:WordsAsBeacons",
    },
    "suites": {
        "bbh": "biddable.suites.benchmarks:bbh",
        "composed": "biddable.suites.instructions:composed",
        "crass": "biddable.suites.benchmarks:crass",
        "drop": "biddable.suites.benchmarks:drop",
        "followbench": "biddable.suites.judged:followbench",
        "gsm8k": "biddable.suites.benchmarks:gsm8k",
        "hhh": "biddable.suites.benchmarks:hhh",
        "humaneval": "biddable.suites.code:humaneval",
        "ifbench": "biddable.suites.instructions:ifbench",
        "ifeval": "biddable.suites.instructions:ifeval",
        "llmbar": "biddable.suites.judged:llmbar",
        "m-ifeval": "biddable.suites.instructions:m_ifeval",
        "mmlu": "biddable.suites.benchmarks:mmlu",
        "ni": "biddable.suites.benchmarks:ni",
        "superni": "biddable.suites.benchmarks:superni",
        "text": "biddable.suites.benchmarks:text",
        "truthfulqa": "biddable.suites.benchmarks:truthfulqa",
        "verbalizer": "biddable.methods.measure.verbalizer_manipulation:suite",
    },
    "judges": {
        "rules": "biddable.judges.load:rule_judge",
        "answer": "biddable.judges.load:answer_judge",
        "lm": "biddable.judges.load:lm_judge",
        "rating": "biddable.judges.load:rating_judge",
        "hf": "biddable.judges.load:reward_judge",
        "reference": "biddable.judges.reference:reference_judge",
        "code": "biddable.judges.code:code_judge",
    },
    "envs": {
        "form": "biddable.envs.forms:FormEnv",
        "gym": "biddable.envs.gymnasium:GymEnv",
        "widget": "biddable.envs.widgets:WidgetEnv",
        "metaworld": "biddable.envs.metaworld:MetaWorldEnv",
        "minigrid": "biddable.envs.minigrid:GridEnv",
        "miniwob": "biddable.envs.miniwob:MiniWoBEnv",
        "mujoco": "biddable.envs.physics:make",
    },
}


def names(kind: Kind) -> list[str]:
    """Every registered name of a kind, sorted."""
    return sorted({*BUILTIN[kind], *(point.name for point in _points(kind))})


def find(kind: Kind, name: str) -> Any:
    """Import and return what is registered under ``name``.

    Raises:
        InputError: nothing is registered under that name; the message offers the nearest ones.
    """
    if target := BUILTIN[kind].get(name):
        module, _, attribute = target.partition(":")
        return getattr(importlib.import_module(module), attribute)
    for point in _points(kind):
        if point.name == name:
            return point.load()
    known = names(kind)
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
    expected = f"{' or '.join(near)}?" if near else ", ".join(known)
    raise InputError(kind.removesuffix("s"), name, f"one of {len(known)} {kind}: {expected}")


def items(kind: Kind) -> Iterator[tuple[str, Any]]:
    """Every ``(name, object)`` of a kind, imported one by one."""
    return ((name, find(kind, name)) for name in names(kind))


def split_spec(field: str, spec: str) -> tuple[str, dict[str, str]]:
    """A name with its argument, and its options, which follow the last question mark.

    Raises:
        InputError: options that are none, or one given twice; ``field`` is what is named.
    """
    named, mark, query = spec.rpartition("?")
    if not mark:
        return spec, {}
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError:
        raise InputError(field, spec, "options as NAME?option=value&option=value") from None
    if repeated := [name for name, _ in pairs if [n for n, _ in pairs].count(name) > 1]:
        raise InputError(field, spec, f"the option {repeated[0]} once")
    return named, dict(pairs)


def made(make: Callable[..., Any], arguments: list[str], options: Mapping[str, str]) -> Any:
    """Call ``make`` with its argument and its options, each as the type its parameter asks for.

    Raises:
        InputError: an argument is missing or not wanted, no such option, or a value of another type.
    """
    from pydantic import TypeAdapter, ValidationError

    parameters = inspect.signature(make).parameters
    required = [each.name for each in parameters.values() if each.default is each.empty]
    if len(arguments) != len(required) or "" in arguments:
        expected = f"{required[0].upper()} after the colon" if required else "nothing after the name"
        raise InputError("argument", arguments[0] if arguments else None, expected)
    known = {name: parameter for name, parameter in parameters.items() if name not in required}
    hints = get_type_hints(make)
    values = {}
    for name, value in options.items():
        if name not in known:
            raise InputError("option", name, " or ".join(known) or "none")
        listed = get_origin(hints[name]) is tuple  # one+two, where a plus has become a blank
        given = value.split() if listed else value
        try:
            values[name] = TypeAdapter(hints[name]).validate_python(given)
        except ValidationError as error:
            expected = error.errors()[0]["msg"].removeprefix("Input should be ")
            raise InputError(name, value, expected) from None
    try:
        return make(*arguments, **values)
    except InputError as error:
        several = values.get(error.field)
        if isinstance(several, tuple) and any("," in str(each) for each in several):
            given = options[error.field].replace(" ", "+")
            expected = f"several with + between them: {given.replace(',', '+')}"
            raise InputError(error.field, given, expected) from None
        raise


def _points(kind: Kind) -> Any:
    return entry_points(group=f"biddable.{kind}")
