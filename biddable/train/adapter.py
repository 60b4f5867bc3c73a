"""Which weights of a model are trained: all of them, or a LoRA adapter beside them."""

from __future__ import annotations

from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model

from biddable.errors import InputError


def choose_weights(module: Any, *, lora_rank: int, seed: int) -> Any:
    """Mark what is to be trained.

    Args:
        module: a ``transformers`` model, or one that has an adapter already.
        lora_rank: rank of the adapter; 0 trains every weight. An adapter that is there is trained on.
        seed: decides a new adapter's first weights.

    Returns:
        the module to use from now on; with a new adapter that is a ``PeftModel`` around the old one.

    Raises:
        InputError: the module has an adapter and ``lora_rank`` asks for none, or for another rank.
    """
    if isinstance(module, PeftModel):
        rank = getattr(module.peft_config[module.active_adapter], "r", None)
        if lora_rank != rank:
            raise InputError("lora_rank", lora_rank, f"{rank}, the rank of the adapter that the model has")
        trained = _adapter_parameters(module)
        for name, parameter in module.named_parameters():
            parameter.requires_grad_(name in trained)
        return module
    if lora_rank == 0:
        return module.requires_grad_(True)
    config = LoraConfig(
        r=lora_rank, lora_alpha=2 * lora_rank, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return get_peft_model(module, config)


def _adapter_parameters(module: PeftModel) -> set[str]:
    """The names of what the adapter's configuration trains: factors, whole modules, tokens, biases."""
    config: Any = module.peft_config[module.active_adapter]
    kinds = (f".{module.base_model.prefix}", ".modules_to_save.", ".trainable_tokens_")
    names = {name for name, _ in module.named_parameters() if any(kind in name for kind in kinds)}
    bias = {"all": ".bias", "lora_only": ".base_layer.bias"}.get(getattr(config, "bias", "none"))
    if bias:
        names |= {name for name, _ in module.named_parameters() if name.endswith(bias)}
    return names
