"""``load_model``: one name for a model, wherever it lives."""

from __future__ import annotations

import difflib
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from biddable.errors import InputError, ModelError, said
from biddable.models.base import LanguageModel, TrainableModel
from biddable.models.folders import fingerprint as folder_fingerprint
from biddable.models.precision import Precision
from biddable.models.weights import PACKAGED, gguf_folder, packaged_folder

if TYPE_CHECKING:
    from biddable.models.local import LocalModel
    from biddable.models.openai import ServedOptions

FORMS = "smollm2, gemma3-270m, a folder, a .gguf file, a hub name, openai:NAME@URL or vllm:NAME"
WEIGHTS_HERE = "a model whose weights are here"


def load_model(
    spec: str | Path,
    *,
    device: str | None = None,
    precision: Precision = "auto",
    served: ServedOptions | None = None,
) -> LanguageModel:
    """Load a model by name.

    Args:
        spec: ``smollm2`` or ``gemma3-270m`` (the full-precision original where a hub can be reached,
            else the copy from the PyPI package; set ``HF_HUB_OFFLINE=1`` to always take the latter),
            a local folder (a transformers model, a PEFT adapter or a run folder), a ``.gguf`` file,
            a hub name, ``openai:NAME@URL`` for a served model, ``vllm:NAME``.
        device: a torch device; the first GPU, else the CPU, when None.
        precision: what a local model generates in: ``fp32``, ``bf16``, or ``auto``: bf16 where the
            processor is built for it.
        served: how a served model is asked (time, retries, how many at once, whether answers are kept).

    Raises:
        ModelError: it cannot be found or read.
        MissingDependency: its package is not installed.
        InputError: the name has none of the known forms, or ``served`` is given for another.
    """
    name = str(spec)
    if precision not in get_args(Precision):
        raise InputError("precision", precision, "one of " + ", ".join(get_args(Precision)))
    if name.startswith("openai:"):
        from biddable.models.openai import parse_spec

        return parse_spec(name, served)
    if served is not None:
        raise InputError("served", served, f"None for {name}: only openai:NAME@URL is served")
    if name.startswith("vllm:"):
        from biddable.models.vllm import VLLMModel

        return VLLMModel(name.removeprefix("vllm:"))

    folder, source = locate(name)  # before torch is imported: a mistyped name is said at once
    from biddable.models.local import LocalModel

    if (folder / "adapter_config.json").is_file():
        base = _base_of(folder, device=device, precision=precision)
        return base.with_adapter(folder, name=name, source=source)
    return LocalModel.from_folder(folder, name=name, source=source, device=device, precision=precision)


def model_identity(spec: str | Path) -> str:
    """What tells a model's weights from others under the same name: part of what a run is known by.

    For a local folder, an adapter or a run that is a digest of its files, of an adapter's base too; for a
    served model, a hub name or a packaged model the name itself.

    Raises:
        ModelError: there is no model in the folder.
    """
    name = str(spec)
    if name.startswith(("openai:", "vllm:")) or name in PACKAGED or not os.path.exists(name):
        return name
    if Path(name).suffix.lower() == ".gguf":
        return folder_fingerprint(gguf_folder(Path(name)))
    folder, _ = locate(name)
    if (folder / "adapter_config.json").is_file():
        from biddable.models.adapters import base_spec

        return f"{folder_fingerprint(folder)} on {model_identity(base_spec(folder))}"
    return folder_fingerprint(folder)


def load_trainable(spec: str | Path, *, lora_rank: int = 0) -> TrainableModel:
    """Load a model to train it: with all weights in fp32, unless a LoRA adapter is what will be trained.

    On a GPU ``load_model`` keeps weights in bf16, in which most of what a step changes would be rounded
    away when the trained weights are written.

    Raises:
        ModelError: see ``load_model``.
        InputError: the model's weights are elsewhere.
    """
    model = load_model(spec, precision="auto" if lora_rank else "fp32")
    if not isinstance(model, TrainableModel):
        raise InputError("model", str(spec), WEIGHTS_HERE)
    return model


def require_trainable(spec: str | Path) -> None:
    """Refuse a name that ``load_trainable`` will find no model under. Loads nothing and asks no network.

    So a hub's name passes, unless offline: only the hub knows whether it has that model.

    Raises:
        InputError: the name has none of the known forms, there is no model where it says, or its weights
            are elsewhere.
    """
    name, path = str(spec), Path(spec)
    if name.startswith(("openai:", "vllm:")):
        raise InputError("model", name, WEIGHTS_HERE)
    if path.suffix.lower() == ".gguf":
        if not path.is_file():  # locate would convert the file, which takes its time
            raise InputError("model", name, "a GGUF file that is there")
    elif name not in PACKAGED and (os.path.isdir(name) or not _is_hub_name(name) or _offline()):
        try:
            locate(name)
        except ModelError as error:
            raise InputError("model", name, f"a model that is there ({error})") from None


def locate(name: str) -> tuple[Path, str]:
    """The local folder of a model's weights, and where they came from (recorded with every result)."""
    if name in PACKAGED:
        if not _offline():
            with suppress(ModelError):
                return _from_hub(PACKAGED[name].hub), f"hub:{PACKAGED[name].hub}"
        return packaged_folder(name), f"package:{PACKAGED[name].sha256[:12]}"
    path = Path(name)
    if not name:
        raise InputError("model", name, FORMS)
    if path.suffix.lower() == ".gguf":
        return gguf_folder(path), f"gguf:{path.name}"
    if os.path.isdir(name):  # False for whatever cannot be the name of a folder; Path raises for some
        return _model_folder(path), f"folder:{path.name}"
    if _is_hub_name(name):
        return _from_hub(name), f"hub:{name}"
    if near := difflib.get_close_matches(name, PACKAGED, n=1):
        raise InputError("model", name, f"{near[0]}?")
    is_file = " (it is a file)" if os.path.isfile(name) else ""
    missing = " (there is no such folder)" if os.sep in name or name.startswith(".") else ""
    raise InputError("model", name, FORMS + (is_file or missing))


def _is_hub_name(name: str) -> bool:
    return name.count("/") == 1 and not name.startswith((".", "/"))


def _base_of(adapter: Path, *, device: str | None, precision: Precision) -> LocalModel:
    """The model that an adapter says it belongs on."""
    from biddable.models.adapters import base_spec
    from biddable.models.local import LocalModel

    name = base_spec(adapter)
    base = load_model(name, device=device, precision=precision)
    if not isinstance(base, LocalModel):
        raise ModelError(f"{adapter}: an adapter needs a local base model, not {name}")
    return base


def _model_folder(path: Path) -> Path:
    """The folder itself, or the model that a run left in it."""
    for folder in (path, path / "artifacts" / "model"):
        if (folder / "config.json").is_file() and _holds_weights(folder):
            return folder
        if (folder / "adapter_config.json").is_file():
            return folder
    raise ModelError(
        f"{path}: no model in it (expected config.json with *.safetensors, or adapter_config.json)"
    )


def _holds_weights(folder: Path) -> bool:
    return any(folder.glob("*.safetensors"))


def _offline() -> bool:
    return os.environ.get("HF_HUB_OFFLINE", "").lower() in {"1", "true", "yes", "on"}


def _from_hub(repository: str) -> Path:
    """The repository's files, fetched or from the hub's own cache (which is all it uses when offline).

    Raises:
        ModelError: the hub is no source here; the message says why.
    """
    from huggingface_hub import snapshot_download

    options: dict[str, Any] = {
        "allow_patterns": ["*.json", "*.safetensors", "*.jinja", "*.model", "vocab.txt", "merges.txt"],
        "etag_timeout": 3,
    }
    try:
        return Path(snapshot_download(repository, **options))
    except Exception as error:  # offline, gated, unknown, no room for it: all end alike
        problem = f"no such folder, and the hub did not deliver it ({said(error)})"
        raise ModelError(f"model {repository}: {problem}") from error
