"""Data sets in the forms that TRL, Axolotl and LLaMA-Factory read, with the settings that they need.

Which turns are learned goes along. Axolotl marks turns; TRL and LLaMA-Factory learn either all of the
assistant's or the last alone, so where a data set says otherwise, each turn that is learned becomes the last
of a row of its own, which teaches the same.

Sources: TRL's dataset formats (its documentation, 1.0), Axolotl's ``chat_template`` and
``chat_template.default`` strategies, LLaMA-Factory's ``data/README.md`` and sharegpt converter.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from biddable.errors import InputError
from biddable.runs.files import replacing, write_atomic
from biddable.tasks.data import write_rows
from biddable.tasks.formats import conversation_of, preference_of
from biddable.tasks.row_forms import message_list, messages_row, preference_row
from biddable.types import Chat, Conversation, Preference, as_chat

FRAMEWORKS = ("trl", "axolotl", "llamafactory")

Rows = Sequence[Conversation] | Sequence[Preference]
WriteRow = Callable[[Any], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written: the names of the files, rows by file, and what to know of them."""

    files: tuple[str, ...]
    rows: Mapping[str, int]
    notes: tuple[str, ...]


def write_for(framework: str, folder: str | Path, rows: Rows, held_out: Rows = ()) -> Exported:
    """Write a data set for a framework: ``train`` and, where rows are held out, ``test``, and its settings.

    Args:
        framework: one of ``FRAMEWORKS``.
        folder: new or empty; it appears whole or not at all.
        rows: conversations or preferences, at least one.
        held_out: of the same kind.

    Raises:
        InputError: no such framework, no rows, a folder that holds something, or a row (named) that the
            framework does not take.
        StorageError: the disk is full, permission is missing …
    """
    if framework not in FRAMEWORKS:
        raise InputError("framework", framework, f"one of {', '.join(FRAMEWORKS)}")
    if not rows:
        raise InputError("rows", [], "at least one row")
    target = Path(folder)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InputError("folder", str(folder), "a new or an empty folder")
    paired = isinstance(rows[0], Preference)
    form = (_PAIRS if paired else _CHATS)[framework]([*rows, *held_out], target)
    written: dict[str, int] = {}
    with replacing(target) as temporary:
        temporary.mkdir(parents=True)
        for name, part in (("train", rows), ("test", held_out)):
            if part:
                made = form.rows(part)
                read = preference_of if paired else conversation_of
                field = "held_out" if name == "test" else "rows"
                write_rows(temporary / f"{name}.{form.ending}", made, form.write, read, field)
                written[f"{name}.{form.ending}"] = len(made)
        for name, content in form.settings(bool(held_out)).items():
            write_atomic(temporary / name, content)
    files = tuple(sorted(path.name for path in target.iterdir()))
    return Exported(files, written, form.notes)


@dataclass(frozen=True, slots=True)
class _Form:
    """How a framework takes rows: what they become, how they are written, and the files beside them."""

    ending: str
    rows: Callable[[Any], Sequence[Any]]
    write: WriteRow
    settings: Callable[[bool], dict[str, str]]
    notes: tuple[str, ...] = ()


def _trl_chats(rows: Sequence[Conversation], folder: Path) -> _Form:
    if all(map(_all_learned, rows)) and not all(map(_last_learned, rows)):
        settings = {"assistant_only_loss": True}
        note = "assistant_only_loss needs a chat template that marks what the assistant says (generation)."
        return _Form("jsonl", list, _plain_row, _trl_settings("sft", folder, settings), (note,))
    made, notes = _last_turns(rows)
    return _Form("jsonl", made, _completion_row, _trl_settings("sft", folder, {}), notes)


def _trl_pairs(rows: Sequence[Preference], folder: Path) -> _Form:
    return _Form("jsonl", _without_meta, preference_row, _trl_settings("dpo", folder, {}))


def _trl_settings(command: str, folder: Path, more: Mapping[str, Any]) -> Callable[[bool], dict[str, str]]:
    def settings(held_out: bool) -> dict[str, str]:
        values = {"dataset_name": str(folder), **more, **({"eval_strategy": "epoch"} if held_out else {})}
        return {f"{command}.yaml": _head(f"trl {command} --config") + _yaml(values)}

    return settings


def _axolotl_chats(rows: Sequence[Conversation], folder: Path) -> _Form:
    marked = not all(map(_all_learned, rows))
    how: dict[str, Any] = {
        "ds_type": "json",
        "type": "chat_template",
        "field_messages": "messages",
        "message_property_mappings": {"role": "role", "content": "content"},
        "roles_to_train": ["assistant"],
        "train_on_eos": "turn",
        **({"message_field_training": "train"} if marked else {}),
    }
    write = _marked_row if marked else _plain_row
    return _Form("jsonl", list, write, _axolotl_settings(folder, how, {}))


def _axolotl_pairs(rows: Sequence[Preference], folder: Path) -> _Form:
    how = {
        "ds_type": "json",
        "type": "chat_template.default",
        "field_messages": "messages",
        "field_chosen": "chosen",
        "field_rejected": "rejected",
        "message_property_mappings": {"role": "role", "content": "content"},
        "roles": {role: [role] for role in ("user", "assistant", "system")},
    }
    return _Form("jsonl", _without_meta, _single_pair_row, _axolotl_settings(folder, how, {"rl": "dpo"}))


def _axolotl_settings(
    folder: Path, how: Mapping[str, Any], more: Mapping[str, Any]
) -> Callable[[bool], dict[str, str]]:
    def settings(held_out: bool) -> dict[str, str]:
        def entry(name: str, split: Mapping[str, str]) -> list[dict[str, Any]]:
            return [{"path": str(folder / f"{name}.jsonl"), **split, **how}]

        values = {**more, "datasets": entry("train", {"split": "train"} if more else {})}
        if held_out:
            values["test_datasets"] = entry("test", {"split": "train"})  # a file has no other
        return {
            "datasets.yaml": _head("these lines belong into the configuration of axolotl train")
            + _yaml(values)
        }

    return settings


def _llamafactory_chats(rows: Sequence[Conversation], folder: Path) -> _Form:
    if all(map(_all_learned, rows)) and all(row.chat[-1].role == "assistant" for row in rows):
        form = _Form("json", list, _plain_row, _llamafactory_settings("sft", folder, {}))
    else:  # LLaMA-Factory reads no marks of turns, but we do
        made, notes = _last_turns(rows)
        more = {"mask_history": True}
        form = _Form("json", made, messages_row, _llamafactory_settings("sft", folder, more), notes)
    for index, row in enumerate(form.rows(rows)):
        _require_turns(f"rows[{index}]", row.chat, last="assistant")
    return form


def _llamafactory_pairs(rows: Sequence[Preference], folder: Path) -> _Form:
    for index, row in enumerate(rows):
        _require_turns(f"rows[{index}].prompt", as_chat(row.prompt), last="user")
    return _Form("json", _without_meta, _single_pair_row, _llamafactory_settings("dpo", folder, {}))


def _llamafactory_settings(
    stage: str, folder: Path, more: Mapping[str, Any]
) -> Callable[[bool], dict[str, str]]:
    name = folder.resolve().name or "data"
    entry: dict[str, Any] = {
        **({"ranking": True} if stage == "dpo" else {}),
        "formatting": "sharegpt",
        "columns": {
            "messages": "messages",
            **({"chosen": "chosen", "rejected": "rejected"} if stage == "dpo" else {}),
        },
        "tags": {
            "role_tag": "role",
            "content_tag": "content",
            "user_tag": "user",
            "assistant_tag": "assistant",
            "system_tag": "system",
        },
    }

    def settings(held_out: bool) -> dict[str, str]:
        parts = {name: "train.json", **({f"{name}_test": "test.json"} if held_out else {})}
        info = {part: {"file_name": file, **entry} for part, file in parts.items()}
        values = {"stage": stage, "dataset_dir": str(folder), "dataset": name, **more}
        values |= {"eval_dataset": f"{name}_test"} if held_out else {}
        return {
            "dataset_info.json": json.dumps(info, ensure_ascii=False, indent=2) + "\n",
            "train.yaml": _head("these lines belong into the configuration of llamafactory-cli train")
            + _yaml(values),
        }

    return settings


_CHATS: Mapping[str, Callable[[Sequence[Any], Path], _Form]] = {
    "trl": _trl_chats,
    "axolotl": _axolotl_chats,
    "llamafactory": _llamafactory_chats,
}
_PAIRS: Mapping[str, Callable[[Sequence[Any], Path], _Form]] = {
    "trl": _trl_pairs,
    "axolotl": _axolotl_pairs,
    "llamafactory": _llamafactory_pairs,
}


def _all_learned(row: Conversation) -> bool:
    return all(turn.role != "assistant" or on for turn, on in zip(row.chat, row.trained, strict=True))


def _last_learned(row: Conversation) -> bool:
    return row.trained[-1] and sum(row.trained) == 1


def _last_turns(
    rows: Sequence[Conversation],
) -> tuple[Callable[[Sequence[Conversation]], list[Conversation]], tuple[str, ...]]:
    """What makes rows of which the last turn is learned and no other, and what to know of them.

    Raises:
        InputError: a turn to learn has none before it.
    """

    def split(part: Sequence[Conversation]) -> list[Conversation]:
        return [
            Conversation(row.chat[: at + 1], (*(False,) * at, True))
            for row in part
            for at, learned in enumerate(row.trained)
            if learned
        ]

    for index, row in enumerate(rows):
        if row.trained[0]:
            raise InputError(f"rows[{index}]", row.chat, "a turn before the first that is learned")
    notes = []
    if several := sum(sum(row.trained) > 1 for row in rows):
        notes.append(f"{several} rows of which several turns are learned became one row for each of these.")
    if none := sum(not any(row.trained) for row in rows):
        notes.append(f"{none} rows of which nothing is learned were left out.")
    return split, tuple(notes)


def _require_turns(where: str, chat: Chat, *, last: str) -> None:
    """LLaMA-Factory skips what is no alternation of user and assistant, after a system turn or none."""
    turns = [turn.role for turn in chat]
    inner = turns[1:] if turns[:1] == ["system"] else turns
    if inner != ["user", "assistant"] * (len(inner) // 2) + ["user"] * (len(inner) % 2) or inner[-1:] != [
        last
    ]:
        expected = f"user and assistant in turn, up to the {last}'s: LLaMA-Factory skips others"
        raise InputError(where, turns, expected)


def _without_meta(rows: Sequence[Preference]) -> list[Preference]:
    return [replace(row, meta={}) for row in rows]


def _plain_row(row: Conversation) -> dict[str, Any]:
    return {"messages": message_list(row.chat)}


def _marked_row(row: Conversation) -> dict[str, Any]:
    turns = zip(message_list(row.chat), row.trained, strict=True)
    return {"messages": [{**turn, "train": learned} for turn, learned in turns]}


def _completion_row(row: Conversation) -> dict[str, Any]:
    return {"prompt": message_list(row.chat[:-1]), "completion": message_list(row.chat[-1:])}


def _single_pair_row(pair: Preference) -> dict[str, Any]:
    answers = {"chosen": pair.chosen, "rejected": pair.rejected}
    return {"messages": message_list(as_chat(pair.prompt))} | {
        name: {"role": "assistant", "content": text} for name, text in answers.items()
    }


def _head(where: str) -> str:
    return f"# {where}\n"


def _yaml(values: Mapping[str, Any]) -> str:
    """Settings as YAML, of which JSON is a part."""
    lines = []
    for name, value in values.items():
        if isinstance(value, list) and all(isinstance(each, dict) for each in value):
            lines.append(f"{name}:")
            for each in value:
                inner = [f"{key}: {json.dumps(held, ensure_ascii=False)}" for key, held in each.items()]
                lines += [f"  {'- ' if at == 0 else '  '}{line}" for at, line in enumerate(inner)]
        else:
            lines.append(f"{name}: {json.dumps(value, ensure_ascii=False)}")
    return "\n".join(lines) + "\n"
