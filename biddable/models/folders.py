"""Folders of weights: what they hold is looked at before it is read, and told apart by content.

``read_module`` gives a module whose every tensor came from the files and of whose files every tensor was
used. ``fingerprint`` is a digest of what decides a model's answers, so that weights which were replaced in
place are told from those that were there.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from biddable.errors import BiddableError, ModelError, said, shown
from biddable.runs.files import cache_folder, write_atomic

DECISIVE = (
    "*.safetensors",
    "*.json",
    "*.jinja",
    "*.model",
    "vocab.txt",
    "merges.txt",
    "additional_chat_templates/*.jinja",
)
"""Files that a model's answers depend on."""

BUFFERS = (".masked_bias", ".inv_freq", ".position_ids")
"""Constants that older versions wrote beside the weights."""

NUMBERS = {"F64", "F32", "F16", "BF16", "I64", "I32", "BOOL"}
"""Types of tensors that hold weights, or constants beside them, as they are."""

NAMED = 3
"""Tensors named in an error; the rest is counted."""

RACY_S = 2.0
"""A file changed so recently may change again without its times telling; its digest is not kept."""

SLACK = 4
"""A configuration may describe so many times as many numbers as the files hold to be read at all."""

LFS = b"version https://git-lfs"


def fingerprint(folder: Path, patterns: Sequence[str] = DECISIVE) -> str:
    """A digest of the weights, configuration, tokenizer and template in a folder.

    The digest of a file is kept in the cache folder and computed anew when its size or times change.
    """
    digest = hashlib.sha256()
    for path in sorted({path for pattern in patterns for path in folder.glob(pattern) if path.is_file()}):
        digest.update(f"{path.relative_to(folder)}\0{_digest(path)}\n".encode())
    return digest.hexdigest()[:16]


def _digest(path: Path) -> str:
    """The SHA-256 of a file."""
    status = path.stat()
    known = [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
    key = hashlib.sha256(str(path.resolve()).encode()).hexdigest()
    kept = cache_folder() / "digests" / key[:2] / key[2:]
    try:
        entry = json.loads(kept.read_bytes())
        if entry["known"] == known:
            return str(entry["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        pass  # not kept, or damaged: computed again
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if time.time() - max(status.st_mtime, status.st_ctime) > RACY_S:
        with suppress(BiddableError, OSError):  # a cache that cannot be written costs time, no more
            write_atomic(kept, json.dumps({"known": known, "sha256": digest}))
    return digest


def read_module(folder: Path, dtype: Any, *, auto: Any = None, what: str = "a language model") -> Any:
    """The model in a folder of safetensors, with not a tensor missing or left over.

    Args:
        folder: config.json and ``*.safetensors``.
        dtype: what its weights are kept in.
        auto: the class of ``transformers`` to read it with; ``AutoModelForCausalLM`` when None.
        what: what the model is to be, for errors.

    Raises:
        ModelError: a file is damaged, the weights are quantised, or tensors are missing, left over or of
            another shape; one line that names the first of them.
    """
    from transformers import AutoModelForCausalLM

    held = sum(require_whole(path) for path in _weight_files(folder))
    _require_plain_weights(folder)
    with reading(folder, what):
        loader: Any = auto or AutoModelForCausalLM
        described = _size(folder, loader)
        if held and described > SLACK * held:  # what is missing is made up in memory before it is refused
            problem = f"config.json describes a model of {described:,} numbers, its files hold {held:,}"
            raise ModelError(f"{folder}: {problem}")
        with without_bars():
            module, info = loader.from_pretrained(
                folder,
                dtype=dtype,
                use_safetensors=True,
                trust_remote_code=False,
                local_files_only=True,
                ignore_mismatched_sizes=True,  # refused below, by name
                output_loading_info=True,
            )
    mismatched = [entry[0] if isinstance(entry, tuple) else str(entry) for entry in info["mismatched_keys"]]
    problems = [
        f"{len(names)} {what} ({listed(names)})"
        for what, names in (
            ("missing", info["missing_keys"]),
            ("left over", [name for name in info["unexpected_keys"] if not name.endswith(BUFFERS)]),
            ("of another shape", mismatched),
        )
        if names
    ]
    if problems:
        kind = type(module).__name__
        raise ModelError(f"{folder}: its tensors are not those of {kind}: {'; '.join(problems)}")
    _require_generation_config(folder, module)
    return module


def _size(folder: Path, loader: Any) -> int:
    """How many numbers the model that the configuration describes has."""
    import torch
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in loader.from_config(config).parameters())


def listed(names: Sequence[str] | set[str]) -> str:
    """The first few names, in order."""
    some = sorted(names)
    return ", ".join(some[:NAMED]) + (", …" if len(some) > NAMED else "")


def require_whole(path: Path) -> int:
    """How many numbers a safetensors file holds: its header must be readable, what it speaks of be there.

    Raises:
        ModelError: it is a Git LFS pointer, cut off, no safetensors file, or holds quantised weights.
    """
    try:
        with path.open("rb") as file:
            start = file.read(len(LFS))
            if start == LFS:
                raise ModelError(f"{path}: is a Git LFS pointer, not the weights; fetch them: git lfs pull")
            size = int.from_bytes(start[:8], "little")
            total = path.stat().st_size
            if len(start) < 8 or size > total - 8:
                raise ModelError(f"{path}: is cut off or no safetensors file ({total} bytes)")
            file.seek(8)
            header = json.loads(file.read(size))
        entries = {name: entry for name, entry in header.items() if name != "__metadata__"}
        ends = [entry["data_offsets"][1] for entry in entries.values()]
        numbers = sum(math.prod(entry["shape"]) for entry in entries.values())
        packed = {name: entry["dtype"] for name, entry in entries.items() if entry["dtype"] not in NUMBERS}
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, IndexError):
        raise ModelError(f"{path}: is no safetensors file (its header cannot be read)") from None
    expected = 8 + size + max(ends, default=0)
    if total < expected:
        raise ModelError(f"{path}: is cut off ({total} bytes, expected {expected})")
    if packed:
        name, kind = next(iter(packed.items()))
        raise ModelError(f"{path}: {len(packed)} of its tensors are quantised ({name}: {kind})")
    return numbers


def _weight_files(folder: Path) -> list[Path]:
    """The files that the weights are read from: others may lie beside them (``consolidated.safetensors``)."""
    index, single = folder / "model.safetensors.index.json", folder / "model.safetensors"
    if single.is_file() or not index.is_file():
        return [single] if single.is_file() else sorted(folder.glob("*.safetensors"))
    try:
        shards = sorted({folder / name for name in json.loads(index.read_text())["weight_map"].values()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ModelError(f"{index}: cannot be read as an index of weights") from None
    if missing := [path.name for path in shards if not path.is_file()]:
        raise ModelError(
            f"{folder}: {len(missing)} of {len(shards)} files of weights missing ({listed(missing)})"
        )
    return shards


def _require_plain_weights(folder: Path) -> None:
    config = _configuration(folder / "config.json")
    quantised = config.get("quantization_config") or config.get("compression_config")
    if quantised:
        kind = quantised.get("quant_method", "quantised") if isinstance(quantised, dict) else "quantised"
        raise ModelError(
            f"{folder}: its weights are quantised ({kind}), expected weights in fp32, fp16 or bf16; "
            "take the model they were made from, or serve it: openai:NAME@URL"
        )


def _require_generation_config(folder: Path, module: Any) -> None:
    """transformers passes over what it cannot read there, and with it the tokens that end a text."""
    path = folder / "generation_config.json"
    if not path.is_file():
        return
    _configuration(path)
    ends = getattr(getattr(module, "generation_config", None), "eos_token_id", None)
    if not all(end is None or isinstance(end, int) for end in (ends if isinstance(ends, list) else [ends])):
        raise ModelError(f"{path}: eos_token_id is {shown(ends)}, expected the number of a token or several")


def _configuration(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        config = None
    if not isinstance(config, dict):
        raise ModelError(f"{path}: cannot be read as a configuration")
    return config


@contextmanager
def reading(place: Path, what: str) -> Iterator[None]:
    """Turn whatever the libraries that read weights raise into a ModelError of one line."""
    try:
        yield
    except BiddableError:
        raise
    except Exception as error:  # their parsing trips over whatever a folder holds
        raise ModelError(f"{place}: cannot be read as {what}: {_first_line(error)}") from error


@contextmanager
def without_bars() -> Iterator[None]:
    """Keep the bars of ``transformers`` off the terminal; what a user has set of them stands."""
    from transformers.utils import logging

    wanted = os.environ.get("HF_HUB_DISABLE_PROGRESS_BARS", "1").upper() not in ("1", "ON", "YES", "TRUE")
    if wanted or not logging.is_progress_bar_enabled():
        yield
        return
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.enable_progress_bar()


def _first_line(error: Exception) -> str:
    """What it says, without the advice that follows on further lines."""
    plain = isinstance(error, OSError | ValueError)
    lines = [line for line in (str(error) if plain else said(error)).splitlines() if line.strip()]
    # "Error(s) in loading state_dict for X:" says nothing without the line after it.
    shown = lines[:2] if lines and lines[0].rstrip().endswith(":") else lines[:1]
    return " ".join(line.strip() for line in shown) or type(error).__name__
