"""PEFT adapters: read whole, put on the base they were trained on, and found again elsewhere.

An adapter folder holds ``adapter_config.json``, ``adapter_model.safetensors`` and, written by us,
``base.json``: the name of the base and a digest of its weights. Its own tokenizer and chat template are used
where they are there, and the base's embedding grows where the adapter's tensors have more rows.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from biddable.errors import BiddableError, ModelError
from biddable.models.folders import fingerprint, listed, reading, require_whole
from biddable.models.tokenizer import PROCESSOR_TEMPLATE, processor_template, read_tokenizer
from biddable.runs.files import write_json

CONFIG, WEIGHTS, BASE = "adapter_config.json", "adapter_model.safetensors", "base.json"
WEIGHT_FILES = ("*.safetensors",)
"""What a base is known by: its tokenizer and configuration may be written anew by another version."""

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "*.model")


def read_config(folder: Path) -> Any:
    """The PEFT configuration of an adapter that can be put on a model here.

    Raises:
        ModelError: it cannot be read, or is of a kind that is not supported.
    """
    from peft import PeftConfig

    with reading(folder, "an adapter"):
        values = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what it does not know; refused below
            config = PeftConfig.from_pretrained(str(folder))
    unknown = [name for name, value in values.items() if value and not hasattr(config, name)]
    if unknown:
        raise ModelError(
            f"{folder / CONFIG}: settings that the installed peft does not know: {listed(unknown)}"
        )
    kind = getattr(config.peft_type, "value", config.peft_type)
    if config.is_prompt_learning or config.is_adaption_prompt:
        raise ModelError(
            f"{folder}: adapters of type {kind} put tokens before the prompt, which is not supported; "
            "expected one that changes layers, such as LORA"
        )
    return config


def require_weights(folder: Path) -> None:
    """Raise ModelError unless the adapter's tensors are there and whole."""
    if not (folder / WEIGHTS).is_file():
        pickled = (folder / "adapter_model.bin").is_file()
        instead = ": adapter_model.bin is a pickle, which is never read; save it as safetensors"
        raise ModelError(f"{folder}: no {WEIGHTS} in it{instead if pickled else ''}")
    require_whole(folder / WEIGHTS)


def base_spec(folder: Path) -> str:
    """What ``load_model`` takes for the base of the adapter in ``folder``.

    The base is looked for under its name, a relative one in the working directory and beside the adapter,
    and at last beside the adapter under the last part of its name.

    Raises:
        ModelError: the adapter names no base, none is found, or it has other weights than those that the
            adapter was trained on.
    """
    named = read_config(folder).base_model_name_or_path
    recorded: dict[str, str] = {}
    with suppress(OSError, ValueError, TypeError):
        recorded = dict(json.loads((folder / BASE).read_text(encoding="utf-8")))
    name = str(recorded.get("name") or named or "")
    if not name:
        raise ModelError(f"{folder}: {CONFIG} does not name its base model")
    require_weights(folder)
    expected = recorded.get("weights", "")
    places = _places(folder, name)
    present = [str(path) for path in places if os.path.exists(path) and not path.samefile(folder)]
    if not present:
        if Path(name).is_absolute() or name.startswith("."):
            raise ModelError(f"{folder}: its base model is not there: {name}")
        return name  # packaged, served, or of a hub: load_model says what is wrong with it
    if not expected:
        return present[0]
    for path in present:
        if weights_digest(path) == expected:
            return path
    raise ModelError(f"{folder}: was trained on other weights than those now in {present[0]}")


def weights_digest(spec: str) -> str:
    """A digest of the weights in a local folder, run or GGUF file; "" where there are none."""
    from biddable.models.load import locate

    try:
        folder, _ = locate(spec)
    except BiddableError:
        return ""
    if (folder / CONFIG).is_file():
        return f"{fingerprint(folder, WEIGHT_FILES)} on {weights_digest(base_spec(folder))}"
    return fingerprint(folder, WEIGHT_FILES)


def record_base(folder: Path, name: str) -> None:
    """Write down the base of an adapter that has just been saved, so that it is found from anywhere.

    Args:
        folder: the adapter.
        name: what the base was loaded as; a path is recorded as an absolute one.
    """
    path = Path(name)
    known = str(path.absolute()) if os.path.exists(path) else name
    write_json(folder / BASE, {"name": known, "weights": weights_digest(known)})
    values = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    write_json(folder / CONFIG, {**values, "base_model_name_or_path": known})


def put_on(module: Any, tokenizer: Any, folder: Path) -> tuple[Any, Any]:
    """The base with the adapter in ``folder`` on it, and the tokenizer to use.

    Args:
        module: the base, which becomes part of the result.
        tokenizer: the base's.
        folder: the adapter.

    Raises:
        ModelError: tensors are missing, left over or of another shape, or the tokenizer has tokens that
            neither the base nor the adapter has rows for.
    """
    from peft import PeftModel
    from safetensors.torch import load_file

    config, known = read_config(folder), _tokens(tokenizer)
    require_weights(folder)
    if any(path for pattern in TOKENIZER_FILES for path in folder.glob(pattern)):
        tokenizer = read_tokenizer(folder)
    elif (folder / "chat_template.jinja").is_file():
        with reading(folder, "an adapter"):
            tokenizer.chat_template = (folder / "chat_template.jinja").read_text(encoding="utf-8")
    elif (folder / PROCESSOR_TEMPLATE).is_file():
        with reading(folder, "an adapter"):
            tokenizer.chat_template = processor_template(folder / PROCESSOR_TEMPLATE)
    with reading(folder, "an adapter"):
        tensors = load_file(folder / WEIGHTS)
    _grow(module, tensors)
    rows = module.get_input_embeddings().weight.shape[0]
    if (tokens := _tokens(tokenizer)) > max(rows, known):
        problem = f"its tokenizer has {tokens} tokens, base and adapter have rows for {rows}"
        raise ModelError(f"{folder}: {problem}; save the adapter with its embedding (save_embedding_layers)")
    with reading(folder, f"an adapter of {type(module).__name__}"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of keys that are missing; refused below
        adapted: Any = PeftModel.from_pretrained(module, str(folder), config=config)
    _require_all(adapted, tensors, folder)
    return adapted, tokenizer


def _grow(module: Any, tensors: dict[str, Any]) -> None:
    """Give the base as many rows of embedding as the adapter's tensors have."""
    ends = tuple(name for name, layer in _embeddings(module))
    sizes = {
        tensor.shape[0]
        for name, tensor in tensors.items()
        if name.removesuffix(".weight").endswith(ends) and tensor.ndim == 2
    }
    if len(sizes) == 1 and (size := sizes.pop()) > module.get_input_embeddings().weight.shape[0]:
        module.resize_token_embeddings(size, mean_resizing=False)


def _embeddings(module: Any) -> Iterator[tuple[str, Any]]:
    """The names (last part) of the input and output embedding."""
    layers = (module.get_input_embeddings(), module.get_output_embeddings())
    for name, layer in module.named_modules():
        if layer is not None and any(layer is embedding for embedding in layers):
            yield name.rpartition(".")[2], layer


def _tokens(tokenizer: Any) -> int:
    """One more than the highest token id."""
    return max(tokenizer.get_vocab().values(), default=-1) + 1


def _require_all(adapted: Any, tensors: dict[str, Any], folder: Path) -> None:
    """Every tensor of the file is in the module, and every one of the adapter came from the file."""
    import torch
    from peft import get_peft_model_state_dict

    own = get_peft_model_state_dict(adapted, save_embedding_layers=False)
    whole = adapted.state_dict()  # an embedding saved beside the adapter stands there under its own name
    for name, value in list(whole.items()):  # PEFT writes modules that are trained whole twice, so too
        whole[name.replace(f".modules_to_save.{adapted.active_adapter}.", ".modules_to_save.")] = value
    tensors = {
        name: value for name, value in tensors.items() if ".original_module." not in name
    }  # the base's
    missing = own.keys() - tensors.keys()
    left_over = tensors.keys() - own.keys() - whole.keys()
    held = {name: own.get(name, whole.get(name)) for name in tensors if name not in left_over}
    other = [
        name
        for name, value in held.items()
        if value.shape != tensors[name].shape
        # NaN is found, and named, when the model proves itself.
        or not torch.equal(value.cpu().nan_to_num(), tensors[name].to(value.dtype).nan_to_num())
    ]
    problems = [
        f"{len(names)} {what} ({listed(names)})"
        for what, names in (("missing", missing), ("left over", left_over), ("not taken over", other))
        if names
    ]
    if problems:
        raise ModelError(f"{folder}: its tensors are not those of its {CONFIG}: {'; '.join(problems)}")


def _places(folder: Path, name: str) -> Iterator[Path]:
    """Where a base of that name may lie."""
    if name.startswith(("openai:", "vllm:")):
        return
    path = Path(name)
    yield path
    if not path.is_absolute():
        yield folder / path
        yield folder.parent / path
    yield folder.parent / path.name
