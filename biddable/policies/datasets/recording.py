"""Recording what a policy does as a Minari data set, episode by episode, through kills.

With the folder above it as ``MINARI_DATASETS_PATH``, Minari finds the data set under its name.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from biddable.envs.base import copied, five_of, make_env, succeeded, two_of
from biddable.errors import BiddableError, InputError, RunError, StorageError, said
from biddable.policies.base import Demonstrator, Policy
from biddable.policies.datasets.minari import METADATA, OURS
from biddable.policies.datasets.pages import numbers
from biddable.policies.datasets.write_minari import check_name, column, new_storage, storable
from biddable.runs.codec import jsonable, seal, unseal
from biddable.runs.files import LineFile, make_folder, read_json, replacing, storing, write_json
from biddable.runs.folder import check_same, take_folder

if TYPE_CHECKING:
    from minari.data_collector import EpisodeBuffer

Failures = Literal["keep", "drop"]
RECORDING = "recording.json"
"""In the data set's folder: how many episodes were played, failed, and were lost, and why."""
_DATA, _JOURNAL = "data", "episodes.jsonl"
_log = logging.getLogger(__name__)


def record(
    folder: str | Path,
    env: str | Any,
    by: Policy | Callable[[Any], Demonstrator],
    seeds: Sequence[int],
    *,
    failures: Failures = "keep",
    algorithm: str = "",
    **options: Any,
) -> Path:
    """Record an episode for each seed as a Minari data set, which appears once all are there.

    Until then each finished episode is kept in a hidden folder beside it, ``.NAME.recording``: the same call
    resumes after the last finished episode. A policy that draws at random then draws other actions.

    An episode in which the environment or what acts in it raises is left out, the others go on. How many
    were left out, for which reasons, and how many failed is logged, and stands in ``recording.json``.

    Pictures are stored without loss, and the elements and fields of a web page as JSON. Actions are rounded
    to the action space's type before they are taken, so what is recorded is what was done.

    Args:
        folder: where to; its name is the data set's and ends in a version: ``demos/go-to-local-v0``.
        env: which environment: a name, one of your own, or what makes one (see ``make_env``).
        by: a policy; or, for an oracle that reads the environment's state, a function that is called with the
            environment after each reset and returns the function from observations to actions.
        seeds: which episodes; the same seed gives the same start.
        failures: "keep" episodes in which the instruction was not followed, or "drop" them.
        algorithm: name of what acts, for the data set's metadata.
        options: keyword arguments of ``make_env``; ``max_episode_steps`` ends what would never end.

    Returns:
        ``folder``. Where the same call has recorded it before, nothing is recorded.

    Raises:
        InputError: a name without a version, no seeds or other than numbers, options that JSON has not;
            ``failures="drop"`` where the environment does not say whether the instruction was followed.
        BiddableError: not one episode could be recorded; it says what was wrong with the first.
        RunError: another recording stands there, or another process is at it.
        MissingDependency: Minari is not installed.
        StorageError: the disk is full, permission is missing …
    """
    folder = Path(folder)
    check_name(folder)
    if failures not in ("keep", "drop"):
        raise InputError("failures", failures, "keep or drop")
    if not len(seeds):
        raise InputError("seeds", list(seeds), "at least one")
    for seed in seeds:
        if not isinstance(seed, int | np.integer) or seed < 0:
            raise InputError("seeds", seed, "integers of at least 0")
    try:
        plain = jsonable(options)
    except TypeError as error:
        raise InputError("options", options, f"values that JSON has: {error}") from None
    identity = {
        "env": _name_of(env),
        "options": plain,
        "seeds": [int(seed) for seed in seeds],
        "algorithm": algorithm,
        "failures": failures,
    }
    work = folder.with_name(f".{folder.name}.recording")
    if folder.exists():
        if not (folder / OURS).is_file():
            raise RunError(f"{folder}: holds something else than a recording; use another folder")
        check_same(folder, identity)
    else:
        made = make_env(env, **options)
        # An environment that was handed over stays open.
        open_env = closing(made) if isinstance(env, str) or callable(env) else nullcontext()
        with open_env, take_folder(work, identity), storing(folder):
            try:
                _Recording(work, folder, made, by, identity, isinstance(env, str)).run()
            except BaseException:
                if not any((work / "whole" / _DATA).glob("[0-9]*")):  # nothing to go on with
                    shutil.rmtree(work, ignore_errors=True)
                raise
            (work / "whole").replace(folder)
        _tell(folder)
    shutil.rmtree(work, ignore_errors=True)
    return folder


class _Recording:
    """One recording under way: a journal says of each seed what came of its episode."""

    def __init__(
        self, work: Path, folder: Path, env: Any, by: Any, identity: dict[str, Any], recoverable: bool
    ):
        self._work, self._whole, self._folder = work, work / "whole", folder
        self._data, self._env, self._by, self._identity = self._whole / _DATA, env, by, identity
        self._recoverable = recoverable
        self._first_problem: BiddableError | None = None

    def run(self) -> None:
        """Play what the journal lacks, then write the data set's metadata."""
        make_folder(self._data)
        journal = LineFile(self._work / _JOURNAL, lambda line: unseal(line) is not None)
        outcomes = [json.loads(unseal(line) or b"{}") for line in journal.lines()]
        seeds = self._identity["seeds"]
        # Minari takes no relative path.
        with closing(journal), TemporaryDirectory(dir=self._work.absolute()) as scratch:
            made = {"env": self._identity["env"], **self._identity["options"]} if self._recoverable else None
            spaces = storable(self._env.observation_space), self._env.action_space
            algorithm = self._identity["algorithm"]
            storage = new_storage(Path(scratch), self._folder.name, *spaces, made, algorithm)
            for seed in seeds[len(outcomes) :]:
                kept = sum("lost" not in outcome for outcome in outcomes)
                outcome = self._outcome(kept, seed, storage, Path(scratch))
                outcomes.append(outcome)
                journal.append(seal(json.dumps(outcome).encode()), sync=False)
            about = read_json(Path(scratch, METADATA))
        count = sum("lost" not in outcome for outcome in outcomes)
        if not count:
            first = outcomes[0]["lost"]
            raise self._first_problem or BiddableError(f"{self._folder}: no episode was recorded: {first}")
        self._finish(about, outcomes, count)

    def _outcome(self, place: int, seed: int, storage: Any, scratch: Path) -> dict[str, Any]:
        """Play one episode and keep it, or say why it is lost."""
        try:
            buffer = _play(self._env, self._by, place, seed)
        except StorageError:
            raise
        except Exception as error:  # whatever an environment or a demonstrator raises
            problem = error if isinstance(error, BiddableError) else BiddableError(said(error))
            self._first_problem = self._first_problem or problem
            _log.debug("the episode of seed %s is lost", seed, exc_info=True)
            return {"seed": seed, "lost": str(problem)}
        success = None if buffer.infos is None else bool(buffer.infos["success"][-1])
        if self._identity["failures"] == "drop":
            if success is None:
                expected = "keep: the environment does not say whether the instruction was followed"
                raise InputError("failures", "drop", expected)
            if not success:
                return {"seed": seed, "lost": "", "success": False}
        shutil.rmtree(self._data / str(place), ignore_errors=True)  # left by a kill before its journal line
        with replacing(self._data / str(place)) as episode:
            storage.update_episodes([buffer])
            (scratch / str(place)).rename(episode)
        return {"seed": seed, "success": success}

    def _finish(self, about: dict[str, Any], outcomes: list[dict[str, Any]], count: int) -> None:
        episodes = [self._data / str(place) for place in range(count)]
        steps = sum(read_json(each / METADATA)["total_steps"] for each in episodes)
        size = round(sum(file.stat().st_size for file in self._data.rglob("*")) / 1e6, 1)
        reasons = Counter(outcome["lost"] for outcome in outcomes if outcome.get("lost"))
        told = {
            "played": len(outcomes),
            "recorded": count,
            "failed": sum(outcome.get("success") is False for outcome in outcomes),
            "failures": self._identity["failures"],
            "lost": dict(reasons.most_common()),
            "lost_seeds": [outcome["seed"] for outcome in outcomes if outcome.get("lost")],
        }
        write_json(self._whole / OURS, self._identity)
        write_json(self._whole / RECORDING, told)
        counts = {"total_episodes": count, "total_steps": steps, "dataset_size": size}
        write_json(self._data / METADATA, {**about, **counts})


def _tell(folder: Path) -> None:
    """Log how many episodes failed and were lost, if any."""
    told = read_json(folder / RECORDING)
    if told["failed"]:
        fate = "they are in it" if told["failures"] == "keep" else "they are left out"
        _log.warning(
            "%s: %d of %d demonstrations did not do what was asked; %s",
            folder,
            told["failed"],
            told["played"],
            fate,
        )
    for reason, count in told["lost"].items():
        _log.warning("%s: %d of %d episodes are lost: %s", folder, count, told["played"], reason)


def _play(env: Any, by: Policy | Callable[[Any], Demonstrator], place: int, seed: int) -> EpisodeBuffer:
    from minari.data_collector import EpisodeBuffer

    obs, _ = two_of(env.reset(seed=seed))
    act = (lambda obs: by.act([obs])[0]) if isinstance(by, Policy) else by(env)
    observations, actions, rewards = [copied(obs)], [], []
    successes: list[bool | None] = [None]
    terminations, truncations = [False], [False]
    while not (terminations[-1] or truncations[-1]):
        (action,) = column(env.action_space, [numbers(act(obs))], "action")
        taken = copied(action)
        obs, reward, terminated, truncated, info = five_of(env.step(action))
        actions.append(taken)
        observations.append(copied(obs))
        rewards.append(float(reward))
        terminations.append(bool(terminated))
        truncations.append(bool(truncated))
        successes.append(succeeded(info))
    return EpisodeBuffer(
        id=place,
        seed=seed,
        observations=column(storable(env.observation_space), observations, "observation"),
        actions=column(env.action_space, actions, "action"),
        rewards=rewards,
        terminations=terminations[1:],
        truncations=truncations[1:],
        infos=None if successes[-1] is None else {"success": [bool(success) for success in successes]},
    )


def _name_of(env: Any) -> str:
    """What a recording calls its environment, so that another one under the same name is refused."""
    if isinstance(env, str):
        return env
    made = env if callable(env) else type(env)
    return f"{made.__module__}.{made.__qualname__}" if hasattr(made, "__qualname__") else type(made).__name__
