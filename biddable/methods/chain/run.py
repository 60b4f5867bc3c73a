"""Running a chain: every step in its own run folder, then what came of it in the chain's."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from biddable.errors import BiddableError, InputError, RunError
from biddable.methods.base import show
from biddable.methods.chain.file import DRAWING, Chain, Node, at_step, nearest, read_chain
from biddable.methods.chain.steps import Measured, check, compute, left
from biddable.methods.chain.verdict import (
    Consumed,
    beyond_budget,
    budget_table,
    consumed,
    numbers,
    places_of_arms,
    spent,
    unlike_amounts,
    verdict,
)
from biddable.runs.executors import Executor, in_process
from biddable.runs.figures import Table
from biddable.runs.files import read_json, write_json
from biddable.runs.folder import ChangedRun, first_difference, is_run, told
from biddable.runs.results import Results, read_results
from biddable.runs.run import Run

RECORD = "chain.json"
"""By place: what tells a step from others, as it was when it was begun, and whether it was finished."""
State = Literal["finished", "begun", "to do"]


@dataclass(frozen=True, slots=True)
class Planned:
    """A step of a plan: ``state`` is how far its folder is, ``runs`` whether it is asked for."""

    node: Node
    state: State
    runs: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """A checked chain.

    Attributes:
        chain: the chain.
        steps: all of it, in the order of computing.
        facts: what tells each step from others, by place.
    """

    chain: Chain
    steps: list[Planned]
    facts: Mapping[str, dict[str, Any]]


def plan_chain(path: str | Path, *, out: str | None = None, until: str | None = None) -> Plan:
    """Read a chain, and check every step. Nothing is written and no step is computed.

    Args:
        path: the TOML file.
        out: the chain's folder, in place of the file's own.
        until: the last step that is asked for, of every arm and seed, with what it needs.

    Raises:
        FileError, InputError: what is wrong in the file, on one line with its name and the field.
        MissingDependency: a step needs what is not installed.
        RunError: a step has changed since its folder was made (the message says what to remove).
    """
    chain = read_chain(path, out)
    nodes = chain.nodes
    if until is not None and not any(node.step.name == until for node in nodes.values()):
        names = list(dict.fromkeys(node.step.name for node in nodes.values()))
        raise InputError("until", until, f"a step: {nearest(until, names)}")
    facts: dict[str, dict[str, Any]] = {}
    checked: dict[int, dict[str, Any]] = {}
    for place, node in nodes.items():
        if id(node.step) not in checked:
            try:
                checked[id(node.step)] = check(node.step)
            except BiddableError as error:
                raise at_step(chain.file, node.step, error) from None
        facts[place] = {**checked[id(node.step)], "inputs": dict(node.inputs)}
        if node.step.kind in DRAWING:
            facts[place]["seed"] = node.step.options.get("seed", node.seed)
    known = _record(chain)
    _require_unchanged(chain, facts, known)
    asked = nodes.keys() if until is None else _needed(chain, until)
    states: dict[str, State] = {}
    for place, node in nodes.items():
        ready = all(states[each] == "finished" for each in node.inputs.values())
        whole = known.get(place, {}).get("finished") and os.path.isfile(Path(node.folder, "results.json"))
        states[place] = "finished" if ready and whole else "begun" if is_run(node.folder) else "to do"
        if node.step.kind == "eval" and states[place] == "begun" and place not in known:
            states[place] = "to do"  # others of its name have begun
    return Plan(chain, [Planned(node, states[place], place in asked) for place, node in nodes.items()], facts)


def run_chain(
    path: str | Path,
    *,
    out: str | None = None,
    until: str | None = None,
    executor: Executor = in_process,
    on_step: Callable[[Node, str], None] = lambda node, event: None,
) -> Results | None:
    """Compute a chain; the same call again goes on where it was killed.

    What a finished step left is not computed again, but every step looks whether its inputs are as they were.

    Args:
        path: the TOML file.
        out: the chain's folder, in place of the file's own.
        until: the last step to compute, with what it needs.
        executor: where the work of the steps is done.
        on_step: told of each step when it is "started" and "finished".

    Returns:
        what is in the chain's ``results.json``; None where ``until`` left something to do.

    Raises:
        see ``plan_chain``, and whatever a step raises, with its name.
    """
    return compute_plan(plan_chain(path, out=out, until=until), executor=executor, on_step=on_step)


def compute_plan(
    plan: Plan,
    *,
    executor: Executor = in_process,
    on_step: Callable[[Node, str], None] = lambda node, event: None,
) -> Results | None:
    """Compute what is asked for of a plan. See ``run_chain``."""
    chain = plan.chain
    with Run.open(chain.out, "chain", {"chain": 1}, seed=0, executor=executor) as run:
        record = _record(chain)
        measured: dict[str, list[Measured]] = {}
        for step in plan.steps:
            node, place = step.node, step.node.place
            if not step.runs:
                continue
            on_step(node, "started")
            record[place] = {"facts": plan.facts[place], "finished": False}
            write_json(run.folder / RECORD, record)
            folders = {name: chain.nodes[each].folder for name, each in node.inputs.items()}
            models = _computed(chain, node, folders, executor)
            if node.step.kind == "eval":
                measured[place] = models
            record[place]["finished"] = True
            write_json(run.folder / RECORD, record)
            on_step(node, "finished")
        if not all(step.runs for step in plan.steps):
            return None
        return _finish(chain, run, measured)


def finished(plan: Plan) -> Plan:
    """The plan as it is after all of it was computed."""
    return replace(plan, steps=[replace(step, state="finished") for step in plan.steps])


def seconds(node: Node) -> float:
    """How long a step's folder was computed in."""
    return float(read_results(node.folder).timing["seconds"])


def _computed(chain: Chain, node: Node, folders: Mapping[str, str], executor: Executor) -> list[Measured]:
    try:
        return compute(node, folders, executor)
    except ChangedRun as error:
        what = str(error).removesuffix("; use another folder")
        remedy = f"remove {_folders(_after(chain, node))} to compute it anew, or give the chain another out"
        raise RunError(f"{chain.file}: {node.step.field} has changed since ({what}); {remedy}") from None
    except InputError as error:
        raise at_step(chain.file, node.step, error) from None
    except BiddableError as error:
        error.args = (f"{node.place}: {error}",)
        raise


def _finish(chain: Chain, run: Run, measured: Mapping[str, list[Measured]]) -> Results:
    by_place: dict[str, Consumed] = {}
    times: dict[str, float] = {}
    rows: list[tuple[str, str, str]] = []
    for place, node in chain.nodes.items():
        results = read_results(node.folder)
        by_place[place] = consumed(node.step.kind, node.folder, results)
        times[place] = results.timing["seconds"]
        rows.append((place, node.step.says, left(node.folder)))
    # 1. The budget, and whether claims may be made on it.
    arms = spent(chain, by_place)
    beyond = beyond_budget(chain, arms)
    # 2. The verdict.
    made = verdict(chain, measured, claims=not beyond)
    # 3. What the chain leaves: a model, and its page.
    last = _last_model(chain)
    if last is not None:
        run.publish(Path(last.folder, "artifacts", "model").absolute(), "model")
    steps = Table("Steps", ("step", "what", "left"), tuple(rows))
    show(run, [*made.bars(), budget_table(arms), steps])
    evaluations = dict.fromkeys(node.folder for node in chain.nodes.values() if node.step.kind == "eval")
    uses = ("biddable chat {run}", "biddable export {run} FOLDER") if last else ()
    return run.finish(
        made.comparisons,
        metrics={
            "scores": made.scores.metrics(),
            "consumed": numbers(arms),
            "model": last.place if last else None,
        },
        timing={"steps": times, "arms": _by_arm(chain, times)},
        notes=[*beyond, *unlike_amounts(chain, arms), *made.notes],
        next_steps=(*uses, *(f"biddable report {folder}" for folder in evaluations)),
    )


def _by_arm(chain: Chain, times: Mapping[str, float]) -> dict[str, float]:
    """Seconds of all steps of each arm; an evaluation that arms share counts whole for each."""
    return {
        arm or "chain": sum(times[place] for place in places) for arm, places in places_of_arms(chain).items()
    }


def _last_model(chain: Chain) -> Node | None:
    """The step whose model the chain leaves: the last of the method's arm, else of the last; first seed."""
    arm = chain.settings.compare.method if chain.arms != [""] else ""
    places = chain.chains[arm or chain.arms[-1], chain.seeds[0]]
    nodes = [chain.nodes[place] for place in places.values()]
    return next((node for node in reversed(nodes) if Path(node.folder, "artifacts", "model").exists()), None)


def _record(chain: Chain) -> dict[str, Any]:
    path = Path(chain.out, RECORD)
    if not is_run(chain.out) or not path.is_file():
        return {}
    record = read_json(path)
    if not isinstance(record, dict) or not all(isinstance(each, dict) for each in record.values()):
        raise RunError(f"{path}: damaged: expected an object of objects; give the chain another out")
    return record


def _require_unchanged(chain: Chain, facts: Mapping[str, dict[str, Any]], known: Mapping[str, Any]) -> None:
    """Refuse a step whose folder was made with other options, or after a step that was.

    An ``eval`` step may change: what is new is measured.
    """
    for place, node in chain.nodes.items():
        if node.step.kind == "eval" or place not in known:
            continue
        difference = first_difference(known[place].get("facts"), facts[place], "")
        if difference is None:
            continue
        there = _after(chain, node)
        if there:
            raise RunError(
                f"{chain.file}: {node.step.field}: {told(difference)}; remove {_folders(there)} "
                "to compute it anew, or give the chain another out"
            )


def _after(chain: Chain, node: Node) -> list[str]:
    """The folders that are there of a step and of those that need it; evaluations take new models up."""
    after = {node.place}
    for place, each in chain.nodes.items():
        if after & {*each.inputs.values()}:
            after.add(place)
    nodes = [chain.nodes[place] for place in chain.nodes if place in after]
    return [each.folder for each in nodes if each.step.kind != "eval" and os.path.isdir(each.folder)]


def _folders(folders: list[str]) -> str:
    return " and ".join(folders)


def _needed(chain: Chain, until: str) -> set[str]:
    """The places of a step of every arm and seed, and of all that they need."""
    needed: set[str] = set()

    def add(place: str) -> None:
        needed.add(place)
        for each in chain.nodes[place].inputs.values():
            add(each)

    for place, node in chain.nodes.items():
        if node.step.name == until:
            add(place)
    return needed
