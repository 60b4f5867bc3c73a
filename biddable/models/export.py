"""A model as a folder of Hugging Face's form, which opens without this library."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from biddable.errors import InputError
from biddable.models.adapters import CONFIG, base_spec, put_on
from biddable.models.folders import DECISIVE, read_module
from biddable.models.load import locate
from biddable.models.tokenizer import read_tokenizer
from biddable.runs.files import replacing


def export(model: str | Path, folder: str | Path, *, merge: bool = True) -> Path:
    """Write a model's weights, configuration, tokenizer, template and generation settings into ``folder``.

    Whole weights, of a language model or a reward model, are copied as they are. An adapter is added to its
    base, in the base's own precision.

    Args:
        model: a run that left a model, or what else ``load_model`` takes whose weights are here.
        folder: where to write; new or empty.
        merge: False copies an adapter as it is, with the name of its base.

    Returns:
        ``folder``.

    Raises:
        InputError: ``folder`` is not empty, or ``model`` is served elsewhere.
        ModelError: there is no model there, or it cannot be read.
        StorageError: the disk is full, permission is missing …
    """
    target = Path(folder)
    if target.is_file() or (target.is_dir() and any(target.iterdir())):
        raise InputError("folder", str(folder), "a new or an empty folder")
    if str(model).startswith(("openai:", "vllm:")):
        raise InputError("model", str(model), "a model whose weights are here")
    source, _ = locate(str(model))
    adapter = (source / CONFIG).is_file()
    with replacing(target) as temporary:
        temporary.mkdir()
        if adapter and merge:
            _merged(source, temporary)
        else:
            for path in sorted({path for pattern in DECISIVE for path in source.glob(pattern)}):
                copy = temporary / path.relative_to(source)
                copy.parent.mkdir(exist_ok=True)
                shutil.copyfile(path, copy)
    return target


def _merged(adapter: Path, folder: Path) -> None:
    """The base with the adapter added to its weights, and the adapter's tokenizer."""
    from transformers import AutoModelForSequenceClassification

    base = base_spec(adapter)
    below, _ = locate(base)
    if (below / CONFIG).is_file():  # an adapter on an adapter
        lower = folder.with_name(folder.name + ".base")
        lower.mkdir()
        try:
            _merged(below, lower)
            _add(adapter, lower, folder, None)
        finally:
            shutil.rmtree(lower, ignore_errors=True)
        return
    kind = json.loads((adapter / CONFIG).read_text(encoding="utf-8")).get("task_type")
    _add(adapter, below, folder, AutoModelForSequenceClassification if kind == "SEQ_CLS" else None)


def _add(adapter: Path, base: Path, folder: Path, auto: Any) -> None:
    module = read_module(base, "auto", auto=auto)
    adapted, tokenizer = put_on(module, read_tokenizer(base), adapter)
    adapted.merge_and_unload().save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)
