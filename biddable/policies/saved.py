"""Policies as artifacts: a folder with a card, settings and weights, and ``load_policy``.

    policy/policy.json           which kind it is, its settings, and what it was trained on
    policy/weights.safetensors   its weights
    policy/README.md             the card, for people

A kind of policy is a class with ``kind``, ``settings()``, ``tensors()`` and ``restored(settings, tensors)``.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

from safetensors.torch import load_file, save_file
from torch import Tensor

from biddable.errors import BiddableError, FileError, said
from biddable.policies.base import Policy
from biddable.runs.files import read_json, replacing, write_json
from biddable.runs.folder import artifact_of, is_run

KINDS = {
    "action-hierarchy": "biddable.policies.hierarchy:ActionHierarchy",
    "goal-language": "biddable.policies.goal_language:GoalLanguagePolicy",
    "pixels": "biddable.policies.pixels:PixelPolicy",
    "state": "biddable.policies.state:StatePolicy",
    "subgoals": "biddable.policies.subgoals:SubgoalPolicy",
}
"""Kind of policy -> where its class is; a file names a kind, and never what is imported."""

_ABOUT, _WEIGHTS, _CARD = "policy.json", "weights.safetensors", "README.md"


class SavablePolicy(Policy, Protocol):
    """A policy that can be an artifact."""

    kind: ClassVar[str]

    def settings(self) -> dict[str, Any]:
        """What it is made anew from, beside its weights, as JSON values."""

    def tensors(self) -> dict[str, Tensor]:
        """Its weights."""

    @classmethod
    def restored(cls, settings: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Self:
        """The policy of these settings and weights. Raises InputError or KeyError: they are of another."""


def save_policy(
    folder: str | Path, policy: SavablePolicy, *, title: str, env: str = "", **facts: Any
) -> Path:
    """Write a policy's folder, whole or not at all.

    Args:
        folder: where to, ``run.artifact("policy")`` say.
        policy: of one of the ``KINDS``.
        title: what it is, in a line.
        env: the environment that it acts in, as ``make_env`` takes it; empty where there is none.
        facts: what else the card says: name -> text or number.

    Raises:
        StorageError: the disk is full, permission is missing …
    """
    folder = Path(folder)
    about = {"kind": policy.kind, "env": env, "settings": policy.settings(), "facts": {**facts}}
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in policy.tensors().items()}
    with replacing(folder) as temporary:
        temporary.mkdir()
        save_file(tensors, temporary / _WEIGHTS)
        write_json(temporary / _ABOUT, about)
        (temporary / _CARD).write_text(_card(title, policy.kind, env, facts), encoding="utf-8")
    return folder


def load_policy(path: str | Path) -> Policy:
    """The policy of a run, or of a policy's folder.

    Raises:
        FileError: there is none, or one that cannot be read.
    """
    return _loaded(policy_folder(path))


def policy_env(path: str | Path) -> str:
    """The environment that a saved policy names; empty where it names none. Raises FileError."""
    return str(_about(policy_folder(path)).get("env") or "")


def policy_folder(path: str | Path) -> Path:
    """Where the policy of a run, or of a folder, is. Raises FileError: there is none."""
    folder = artifact_of(path, "policy") if is_run(path) else Path(path)
    if not (folder / _ABOUT).is_file():
        raise FileError(path, f"holds no policy: it is no run, and has no {_ABOUT}")
    return folder


def _about(folder: Path) -> dict[str, Any]:
    about = read_json(folder / _ABOUT)
    if not isinstance(about, dict) or about.get("kind") not in KINDS:
        kind = about.get("kind") if isinstance(about, dict) else about
        raise FileError(folder / _ABOUT, f"kind is {kind!r}, expected one of {', '.join(sorted(KINDS))}")
    return about


def _loaded(folder: Path) -> Policy:
    about = _about(folder)
    module, _, name = KINDS[about["kind"]].partition(":")
    kind: type[SavablePolicy] = getattr(importlib.import_module(module), name)
    try:
        return kind.restored(about["settings"], load_file(folder / _WEIGHTS))
    except BiddableError as error:
        raise FileError(folder, f"no policy of kind {about['kind']}: {error}") from error
    except Exception as error:  # whatever safetensors and torch raise for weights of another shape
        raise FileError(folder, f"no policy of kind {about['kind']}: {said(error)}") from error


def _card(title: str, kind: str, env: str, facts: Mapping[str, Any]) -> str:
    rows = {"kind": kind, **({"environment": env} if env else {}), **facts}
    lines = [f"- {name}: {value}" for name, value in rows.items()]
    use = "biddable act PATH --env ID --episodes 20 --video out.mp4\n"
    code = (
        'from biddable import load_policy\npolicy = load_policy("PATH")\nactions = policy.act(observations)\n'
    )
    return f"# {title}\n\n" + "\n".join(lines) + f"\n\n```\n{use}```\n\n```python\n{code}```\n"
