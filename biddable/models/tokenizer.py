"""Tokenizers, read from a model's folder with the chat template that lies there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from biddable.errors import ModelError
from biddable.models.folders import LFS, reading

OLDER = ("*.model", "vocab.json", "vocab.txt", "merges.txt", "tekken.json", "*.tiktoken")
"""What holds a vocabulary where there is no ``tokenizer.json``."""

PROCESSOR_TEMPLATE = "chat_template.json"
"""Where models that also see or hear had their chat template once; tokenizers do not look there."""


def read_tokenizer(folder: Path) -> Any:
    """The ``transformers`` tokenizer in a folder.

    Raises:
        ModelError: there is none, a file of it is damaged or a Git LFS pointer, or the packages that it
            needs are not installed.
    """
    from transformers import AutoTokenizer

    files = sorted(path for pattern in ("tokenizer.json", *OLDER) for path in folder.glob(pattern))
    if not files:
        raise ModelError(f"{folder}: no tokenizer in it (expected tokenizer.json)")
    with reading(folder, "a tokenizer"):
        for path in (*files, *folder.glob("tokenizer_config.json"), *folder.glob("chat_template.*")):
            with path.open("rb") as file:
                if file.read(len(LFS)) == LFS:
                    raise ModelError(f"{path}: is a Git LFS pointer, not the file; fetch it: git lfs pull")
        tokenizer: Any = _read(AutoTokenizer, folder, files)
        if not tokenizer.chat_template and (folder / PROCESSOR_TEMPLATE).is_file():
            tokenizer.chat_template = processor_template(folder / PROCESSOR_TEMPLATE)
    return tokenizer


def _read(auto: Any, folder: Path, files: list[Path]) -> Any:
    try:
        return auto.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except Exception:
        if (folder / "tokenizer.json").is_file():
            raise
        # What transformers says is a list of packages, needed or not.
        names = ", ".join(path.name for path in files)
        problem = f"it has no tokenizer.json, and {names} cannot be made into one with what is installed"
        raise ModelError(f"{folder}: cannot be read as a tokenizer: {problem}") from None


def processor_template(path: Path) -> Any:
    """The chat template, or the named ones, in a ``chat_template.json``. Raises ModelError without one."""
    content = json.loads(path.read_text(encoding="utf-8"))
    template = content.get("chat_template") if isinstance(content, dict) else None
    if isinstance(template, list):  # named ones
        template = {entry["name"]: entry["template"] for entry in template}
    if not isinstance(template, str | dict):
        raise ModelError(f"{path}: no chat template in it (expected chat_template, a text)")
    return template
