"""GGUF files: one or several shards, turned into an ordinary folder of safetensors, config and tokenizer.

The traps of the conversion, found in transformers 5.23:

* a tensor that the file lacks stays random, and one that the model has no place for is left out, both
  without a word: so each number in the file must have its place in the model, and the other way round;
* a file is read as if it were alone: of a model in shards only what is in the first one;
* ``rope_freqs.weight``, which holds Llama 3.1's scaled frequencies, and other ways of scaling positions are
  not read;
* a module read with ``gguf_file=`` refuses ``save_pretrained``, so its state is loaded into a fresh
  module built from the same config without ``quantization_config``;
* the tokenizer's pre-tokenizer is dropped where it is not known. SmolLM splits digits off one by one
  *before* the byte-level split; without that, the blank line before a numbered list ("\\n\\n1.") becomes two
  tokens that the model never saw in training. ``tests/models/test_weights.py`` holds it against
  llama.cpp's tokenizer.
"""

from __future__ import annotations

import functools
import logging
import math
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from biddable.errors import ModelError, said
from biddable.models.folders import LFS, listed

MAGIC = b"GGUF"
SHARD = re.compile(r"(?P<name>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf")
"""How llama.cpp names the shards of a model; the first is number 1."""

DIGITS_APART = ("smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b")
"""Pre-tokenizers that split digits off one by one, then as GPT-2's does."""
AS_GPT2 = ("gpt-2", "phi-2", "jina-es", "jina-de", "mpt", "olmo", "jais", "trillion", "granite-docling")

ALIGNMENT = "general.alignment"
ROPE_FACTORS = "rope_freqs.weight"
"""By what each frequency of the positions is divided."""
LLAMA_3_ROPE = {
    "rope_type": "llama3",
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}
"""How Llama 3.1 to 3.3 scale positions; only the factor differs."""

logger = logging.getLogger(__name__)

Reader = Any
"""A ``gguf.GGUFReader``."""


def shards_of(path: Path) -> list[Path]:
    """All files of the model that ``path`` is a file of, in order.

    Raises:
        ModelError: one of them is missing, a Git LFS pointer, or no GGUF file.
    """
    parts = SHARD.fullmatch(path.name)
    files = [path]
    if parts:
        count = int(parts["count"])
        files = [path.with_name(f"{parts['name']}-{i + 1:05}-of-{count:05}.gguf") for i in range(count)]
    for file in files:
        if not file.is_file():
            beside = f"; {path.name} is one of {len(files)} shards" if path.is_file() else ""
            raise ModelError(f"{file}: no such GGUF file{beside}")
        try:
            with file.open("rb") as opened:
                start = opened.read(len(LFS))
        except OSError as error:
            raise ModelError(f"{file}: cannot be read ({error.strerror})") from error
        if start == LFS:
            raise ModelError(f"{file}: is a Git LFS pointer, not the weights; fetch them: git lfs pull")
        if not start.startswith(MAGIC):
            raise ModelError(f"{file}: not a GGUF file (its first four bytes are not 'GGUF')")
    return files


def join(files: Sequence[Path], target: Path) -> None:
    """Write the model in ``files``, its shards in order, as one file.

    Raises:
        ModelError: they are not the shards of one model.
    """
    if len(files) == 1:
        shutil.copyfile(files[0], target)
        return
    from gguf import GGUFValueType, GGUFWriter

    readers = [_read(file) for file in files]
    for place, (file, reader) in enumerate(zip(files, readers, strict=True)):
        number, count = _field(reader, "split.no"), _field(reader, "split.count")
        if (number, count) != (place, len(files)):
            claimed = "no shard" if number is None else f"shard {number + 1} of {count}"
            raise ModelError(f"{file}: says it is {claimed}, expected shard {place + 1} of {len(files)}")
    first = readers[0]
    writer = GGUFWriter(target, _field(first, "general.architecture") or "")
    for name, field in first.fields.items():
        if not name.startswith(("GGUF.", "split.")) and name not in ("general.architecture", ALIGNMENT):
            kind, *inner = field.types
            if kind != GGUFValueType.ARRAY:
                writer.add_key_value(name, field.contents(), kind)
            elif inner:  # an empty array has no type, and cannot be written
                writer.add_key_value(name, field.contents(), kind, sub_type=inner[-1])
    tensors = [tensor for reader in readers for tensor in reader.tensors]
    if _field(first, "split.tensors.count") not in (None, len(tensors)):
        expected = _field(first, "split.tensors.count")
        raise ModelError(f"{files[0]}: {len(tensors)} tensors in its shards, expected {expected}")
    for tensor in tensors:
        writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def convert(gguf: Path, folder: Path, *, name: str) -> None:
    """Write a GGUF file's model as safetensors, config and tokenizer.

    Args:
        gguf: the file.
        folder: is made.
        name: what the user knows the file as, for errors.

    Raises:
        ModelError: the file is damaged, of an architecture that is not supported, or its tensors are not
            those of the model that it says it is.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with _parsed_once() as read:
        reader = _read(gguf, name, read)
        _require_language_model(reader, name)
        try:
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                gguf.parent, gguf_file=gguf.name, dtype=torch.float32, output_loading_info=True
            )
            module, info = loaded
            tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
        except Exception as error:  # the readers raise whatever their parsing trips over
            raise ModelError(f"{name} cannot be read as a GGUF language model: {said(error)}") from error
    _require_same_settings(reader, module.config.get_text_config(), name)
    _read_rope_scaling(reader, module.config, name)
    _require_same_tensors(reader, module, info, name)
    _set_pre_tokenizer(reader, tokenizer, name)
    config = module.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    config._name_or_path = ""
    plain = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    plain.load_state_dict(module.state_dict())
    plain.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@contextmanager
def _parsed_once() -> Iterator[Callable[[str], Reader]]:
    """The reader of GGUF files, which parses each of them once.

    transformers reads the file anew for the config, the weights and the tokenizer, and parsing
    Gemma's 262,144 tokens takes some 15 s: in all it is one minute instead of two.
    """
    import gguf

    reader = functools.cache(gguf.GGUFReader)
    with patch.object(gguf, "GGUFReader", reader):
        yield reader


def _read(path: Path, name: str | None = None, read: Callable[[str], Reader] | None = None) -> Reader:
    from gguf import GGUFReader

    try:
        return (read or GGUFReader)(str(path))
    except Exception as error:  # it raises whatever the parsing of a damaged file trips over
        problem = f"it is cut off or damaged: {said(error)}"
        raise ModelError(f"{name or path} cannot be read as a GGUF language model: {problem}") from error


def _field(reader: Reader, name: str) -> Any:
    field = reader.fields.get(name)
    return None if field is None else field.contents()


def _require_language_model(reader: Reader, name: str) -> None:
    problem = ""
    if (count := _field(reader, "split.count") or 1) > 1:
        number = (_field(reader, "split.no") or 0) + 1
        problem = f"it is shard {number} of {count}; they lie in one folder as NAME-00001-of-{count:05}.gguf"
    elif (kind := _field(reader, "general.type") or "model") != "model":
        problem = f"it holds no whole model (general.type is {kind!r})"
    elif _field(reader, "tokenizer.ggml.model") is None or _field(reader, "tokenizer.ggml.tokens") is None:
        problem = "it has no tokenizer (tokenizer.ggml.model, tokenizer.ggml.tokens)"
    if problem:
        raise ModelError(f"{name} cannot be read as a GGUF language model: {problem}")


def _require_same_tensors(reader: Reader, module: Any, info: dict[str, Any], name: str) -> None:
    """Refuse a file with other tensors than the model made of it has.

    The file's names are not the model's, and one tensor of it can hold several of the model's: so what the
    file has is compared by its size.
    """
    kind = type(module).__name__
    missing = {*info["missing_keys"], *(str(entry) for entry in info["mismatched_keys"])}
    if missing:
        raise ModelError(f"{name} lacks {len(missing)} tensors of {kind} ({listed(missing)})")
    aside = {ROPE_FACTORS}
    if module.config.get_text_config().tie_word_embeddings:
        aside.add("output.weight")  # a copy of the input's embedding, in files of Falcon and Bloom
    sizes = {stored.name: int(stored.n_elements) for stored in reader.tensors if stored.name not in aside}
    state = {tensor.data_ptr(): tensor.numel() for tensor in module.state_dict().values()}
    if (total := sum(sizes.values())) != (expected := sum(state.values())):
        left_over = set(sizes) - _known_names(reader, module)
        names = f" ({listed(left_over)} among them)" if left_over else ""
        raise ModelError(
            f"{name} is no {kind}, as it is read here: it holds {total:,} numbers{names}, which has "
            f"{expected:,}"
        )


def _known_names(reader: Reader, module: Any) -> set[str]:
    """The names that GGUF has for the module's tensors."""
    from gguf import MODEL_ARCH_NAMES, get_tensor_name_map

    architecture = _field(reader, "general.architecture")
    kinds = [kind for kind, known in MODEL_ARCH_NAMES.items() if known == architecture]
    if not kinds:
        return set()
    names = get_tensor_name_map(kinds[0], module.config.get_text_config().num_hidden_layers)
    gguf_names = (names.get_name(key, (".weight", ".bias")) for key in module.state_dict())
    return {gguf_name for gguf_name in gguf_names if gguf_name}


def _require_same_settings(reader: Reader, text: Any, name: str) -> None:
    """Refuse a file that sets what transformers leaves at its default (positions of StarCoder2, say)."""
    architecture = _field(reader, "general.architecture")
    rope = getattr(text, "rope_parameters", None) or {}
    by_kind = [rope, *(value for value in rope.values() if isinstance(value, dict))]
    partial = rope.get("partial_rotary_factor") or getattr(text, "partial_rotary_factor", None) or 1.0
    context = _field(reader, f"{architecture}.context_length") or math.inf
    settings: dict[str, list[Any]] = {  # what it may be: as configured, or such that it changes nothing
        "rope.freq_base": [kind.get("rope_theta") for kind in by_kind],
        "attention.sliding_window": [getattr(text, "sliding_window", None), 0],
        "attn_logit_softcapping": [getattr(text, "attn_logit_softcapping", None), 0],
        "final_logit_softcapping": [getattr(text, "final_logit_softcapping", None), 0],
        "logit_scale": [1],
        "residual_scale": [1],
        "embedding_scale": [1],
        "attention.clamp_kqv": [0],
        "attention.causal": [True],
        "expert_weights_norm": [getattr(text, "norm_topk_prob", None)],
        "expert_weights_scale": [getattr(text, "routed_scaling_factor", None), 1, 0],
    }
    if len(by_kind) == 1:  # else heads, too, differ from layer to layer
        heads = getattr(text, "num_attention_heads", 0) or text.hidden_size  # none in Mamba
        head = getattr(text, "head_dim", None) or text.hidden_size // heads
        settings["rope.dimension_count"] = [int(head * partial), getattr(text, "rotary_dim", None)]
        settings["attention.scale"] = [head**-0.5]
    for key, expected in settings.items():
        value = _field(reader, f"{architecture}.{key}")
        if value is None or (key == "attention.sliding_window" and value >= context):
            continue
        if not any(
            allowed is not None and math.isclose(allowed, value, rel_tol=1e-3) for allowed in expected
        ):
            said = f"it says {architecture}.{key} {value}, which is read here as {expected[0]}"
            raise ModelError(f"{name} cannot be read as it is meant: {said}")


def _read_rope_scaling(reader: Reader, config: Any, name: str) -> None:
    """Set the scaling of positions that the file has as a tensor; refuse what is not understood."""
    import torch
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    text = config.get_text_config()
    rope = getattr(text, "rope_parameters", None) or {}
    kind = _field(reader, f"{_field(reader, 'general.architecture')}.rope.scaling.type") or "none"
    if kind != "none" and rope.get("rope_type", "default") == "default":
        raise ModelError(f"{name} scales its positions ({kind!r}) in a way that is not read here")
    tensor = next((entry for entry in reader.tensors if entry.name == ROPE_FACTORS), None)
    factors = None if tensor is None else torch.from_numpy(tensor.data.astype("float32"))
    if factors is None or bool((factors == 1).all()):
        return
    scaled = {**rope, **LLAMA_3_ROPE, "factor": round(float(factors.max()), 4)}
    dims = torch.arange(0, 2 * len(factors), 2) / (2 * len(factors))
    expected = rope.get("rope_theta", 10_000.0) ** -dims.float() / factors
    text.rope_parameters = scaled
    computed, _ = ROPE_INIT_FUNCTIONS["llama3"](text, torch.device("cpu"))
    if computed.shape != expected.shape or not torch.allclose(computed, expected, rtol=1e-3):
        raise ModelError(f"{name} scales its positions ({ROPE_FACTORS}) in a way that is not read here")


def _set_pre_tokenizer(reader: Reader, tokenizer: Any, name: str) -> None:
    """Split text as the file says where transformers does not; say so where nothing here knows how."""
    from tokenizers import pre_tokenizers

    kind = _field(reader, "tokenizer.ggml.pre") or "gpt-2"
    if _field(reader, "tokenizer.ggml.model") != "gpt2" or kind in AS_GPT2:
        return
    backend = tokenizer.backend_tokenizer
    if kind in DIGITS_APART:
        digits = pre_tokenizers.Digits(individual_digits=True)
        backend.pre_tokenizer = pre_tokenizers.Sequence(
            [digits, pre_tokenizers.ByteLevel(add_prefix_space=False)]
        )
    elif not isinstance(backend.pre_tokenizer, pre_tokenizers.Sequence):  # what transformers knows is one
        logger.warning(
            "%s splits text in a way that is not known here (%r): it may read other tokens than in training",
            name,
            kind,
        )
