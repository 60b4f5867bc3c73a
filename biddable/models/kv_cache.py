"""The decoder's memory: keys and values of prompts (once each) and of what each row has generated.

Rows that sample from one prompt share its slot, so a prompt is prefilled once and read once however
many samples it has. Everything is allocated up front; rows stay contiguous: when one finishes, the
last one moves into its place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from biddable.errors import ModelError
from biddable.models.attention import TreePlan
from biddable.models.kernels import decode_attention, gpu_decode_attention
from biddable.models.prefix_tree import PrefixTree


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of a decoder's cache that follow from the model."""

    layers: int
    heads: int
    kv_heads: int
    dim: int

    @classmethod
    def of(cls, config: Any) -> Shape:
        """Read them from a ``transformers`` configuration."""
        text = config.get_text_config()
        heads = text.num_attention_heads
        return cls(
            text.num_hidden_layers,
            heads,
            getattr(text, "num_key_value_heads", None) or heads,
            getattr(text, "head_dim", None) or text.hidden_size // heads,
        )

    def require(self, query: Tensor | None, key: Tensor, value: Tensor) -> None:
        """Refuse states of other sizes than the cache was made for: a kernel would read past them.

        Raises:
            ModelError: the configuration says other sizes than the model computes.
        """
        expected = (self.kv_heads, self.dim)
        for states, wanted in ((key, expected), (value, expected), (query, (self.heads, self.dim))):
            if states is not None and tuple(states.shape[1:]) != wanted:
                raise ModelError(f"attention computes (heads, size) {tuple(states.shape[1:])}, not {wanted}")

    def bytes_per_token(self, dtype: torch.dtype) -> int:
        """Keys and values of one token, over all layers."""
        return 2 * self.layers * self.kv_heads * self.dim * dtype.itemsize


def uses_kernel(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether decoding there, with a cache of that type, goes through a loop of our own."""
    if device.type == "cuda":
        return gpu_decode_attention() is not None
    return device.type == "cpu" and decode_attention(dtype) is not None


class KVCache:
    """Keys and values: prompts [layers, slots, kv_heads, prompt_capacity, dim], suffixes likewise by row."""

    def __init__(
        self,
        shape: Shape,
        *,
        rows: int,
        slots: int,
        prompt_capacity: int,
        suffix_capacity: int,
        dtype: torch.dtype,
        device: torch.device,
    ):
        self.shape = shape
        self.prompt_capacity, self.suffix_capacity = prompt_capacity, suffix_capacity

        def empty(first: int, capacity: int) -> Tensor:
            size = (shape.layers, first, shape.kv_heads, capacity, shape.dim)
            # The torch path multiplies unfilled places by zero, so they must not hold NaN by chance.
            make = torch.empty if uses_kernel(device, dtype) else torch.zeros
            return make(size, dtype=dtype, device=device)

        self.prompt_keys, self.prompt_values = empty(slots, prompt_capacity), empty(slots, prompt_capacity)
        self.suffix_keys, self.suffix_values = empty(rows, suffix_capacity), empty(rows, suffix_capacity)

    def move_rows(self, sources: Tensor, targets: Tensor, length: int) -> None:
        """Copy the first ``length`` positions of rows ``sources`` over rows ``targets``."""
        for store in (self.suffix_keys, self.suffix_values):
            store[:, targets, :, :length] = store[:, sources, :, :length]


class PrefillPlan(TreePlan):
    """Attention over the prompts' prefix tree, keeping their keys and values in ``slots``."""

    def __init__(self, tree: PrefixTree, cache: KVCache, slots: Tensor):
        super().__init__(tree)
        self.cache, self.slots = cache, slots

    def keep(self, layer: int, key: Tensor, value: Tensor) -> None:
        """See ``TreePlan.keep``."""
        self.cache.shape.require(None, key, value)
        length = self.tree.gather.shape[1]
        for store, states in ((self.cache.prompt_keys, key), (self.cache.prompt_values, value)):
            store[layer][self.slots, :, :length] = self.padded(states.to(store.dtype))


class DecodePlan:
    """Attention of one new token per row over its prompt's slot and its own suffix.

    Args:
        cache: where keys and values are.
        slots: [rows] prompt slot of each row.
        prompt_lengths: [rows] tokens in it.
        suffix_lengths: [rows] tokens generated before this one: where its key and value go.
    """

    def __init__(self, cache: KVCache, slots: Tensor, prompt_lengths: Tensor, suffix_lengths: Tensor):
        self.cache = cache
        self.slots, self.prompt_lengths, self.suffix_lengths = slots, prompt_lengths, suffix_lengths
        self.rows = torch.arange(len(slots), device=slots.device)
        self.seen = suffix_lengths + 1
        self.has_kernel = uses_kernel(slots.device, cache.suffix_keys.dtype)
        if not self.has_kernel:
            self.prompt_span, self.suffix_span = int(prompt_lengths.max()), int(self.seen.max())
        elif slots.device.type == "cpu":
            threads = torch.get_num_threads()
            group = cache.shape.heads // cache.shape.kv_heads
            places = cache.prompt_capacity + cache.suffix_capacity
            self.scratch = torch.empty(threads, group, places + cache.shape.dim)

    def attend(
        self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float, window: int
    ) -> Tensor:
        """See ``Plan.attend``; query rows past ``len(slots)`` are padding, and their output is zero."""
        self.cache.shape.require(query, key, value)
        count = len(self.slots)
        dtype = self.cache.suffix_keys.dtype
        new = query[:count], key[:count].to(dtype), value[:count].to(dtype)
        if self.has_kernel and query.device.type == "cpu":
            out = self._on_cpu(layer, *new, scale, window)
        else:
            self.cache.suffix_keys[layer][self.rows, :, self.suffix_lengths] = new[1]
            self.cache.suffix_values[layer][self.rows, :, self.suffix_lengths] = new[2]
            attend = self._on_gpu if self.has_kernel else self._by_torch
            out = attend(layer, new[0], scale, window)
        padding = len(query) - count
        # Layers that are not replaced while decoding take nothing but their own type.
        return (F.pad(out, (0, 0, 0, 0, 0, padding)) if padding else out).to(query.dtype)

    def _on_cpu(
        self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float, window: int
    ) -> Tensor:
        cache, shape = self.cache, self.cache.shape
        kernel = decode_attention(cache.suffix_keys.dtype)
        assert kernel is not None
        out = torch.empty(query.shape, dtype=key.dtype)
        tensors = (
            out,
            query.float().contiguous(),
            key.contiguous(),
            value.contiguous(),
            cache.prompt_keys[layer],
            cache.prompt_values[layer],
            cache.suffix_keys[layer],
            cache.suffix_values[layer],
            self.slots,
            self.prompt_lengths,
            self.seen,
            self.scratch,
        )
        sizes = (len(query), shape.kv_heads, shape.heads // shape.kv_heads, shape.dim)
        capacities = (cache.prompt_capacity, cache.suffix_capacity)
        kernel(*(t.data_ptr() for t in tensors), *sizes, *capacities, window, scale, len(self.scratch))
        return out

    def _on_gpu(self, layer: int, query: Tensor, scale: float, window: int) -> Tensor:
        cache = self.cache
        kernel = gpu_decode_attention()
        assert kernel is not None
        return kernel(
            query.to(cache.suffix_keys.dtype).contiguous(),
            cache.prompt_keys[layer],
            cache.prompt_values[layer],
            cache.suffix_keys[layer],
            cache.suffix_values[layer],
            self.slots,
            self.prompt_lengths,
            self.seen,
            scale=scale,
            window=window,
        )

    def _by_torch(self, layer: int, query: Tensor, scale: float, window: int) -> Tensor:
        """The same in torch operations, for machines without a compiler."""
        cache, shape = self.cache, self.cache.shape
        rows = len(query)
        grouped = query.to(cache.suffix_keys.dtype).view(rows, shape.kv_heads, -1, shape.dim)
        prompt_keys = cache.prompt_keys[layer, self.slots, :, : self.prompt_span]
        prompt_values = cache.prompt_values[layer, self.slots, :, : self.prompt_span]
        suffix_keys = cache.suffix_keys[layer, :rows, :, : self.suffix_span]
        suffix_values = cache.suffix_values[layer, :rows, :, : self.suffix_span]
        scores = torch.cat([grouped @ prompt_keys.mT, grouped @ suffix_keys.mT], -1) * scale
        weights = (
            scores.masked_fill(self._hidden(window), -torch.inf).float().softmax(-1).to(suffix_values.dtype)
        )
        prompt_part, suffix_part = weights.split([self.prompt_span, self.suffix_span], -1)
        return (prompt_part @ prompt_values + suffix_part @ suffix_values).view_as(query)

    def _hidden(self, window: int) -> Tensor:
        """[rows, 1, 1, prompt_span + suffix_span] what a row must not see: unfilled places, the far past."""
        device = self.slots.device
        prompt = torch.arange(self.prompt_span, device=device)
        suffix = torch.arange(self.suffix_span, device=device)
        length, seen = self.prompt_lengths[:, None], self.seen[:, None]
        hidden = torch.cat([prompt >= length, suffix >= seen], -1)
        if window:
            position = torch.cat([prompt.expand(len(length), -1), suffix + length], -1)
            hidden |= position < length + seen - window
        return hidden[:, None, None]
