"""Which weights of a model are trained: all of them, or a LoRA adapter beside them."""

from __future__ import annotations

from typing import Any

import peft
import torch
from peft import PeftModel, get_peft_model

from biddable.errors import InputError, said
from biddable.train.config import LoraConfig


def choose_weights(module: Any, lora: LoraConfig, *, seed: int, task: str = "CAUSAL_LM") -> Any:
    """Mark what is to be trained.

    Args:
        module: a ``transformers`` model, or one that has an adapter already.
        lora: the adapter; its rank 0 trains every weight. An adapter that is there is trained on.
        seed: decides a new adapter's first weights.
        task: what the model does, in PEFT's words.

    Returns:
        the module to use from now on; with a new adapter that is a ``PeftModel`` around the old one.

    Raises:
        InputError: the module has an adapter of another rank than is asked for, or lacks the target layers.
    """
    if isinstance(module, PeftModel):
        rank = getattr(module.peft_config[module.active_adapter], "r", None)
        if lora.rank not in (0, rank):
            raise InputError("lora.rank", lora.rank, f"{rank}, the rank of the adapter that the model has")
        trained = _adapter_parameters(module)
        for name, parameter in module.named_parameters():
            parameter.requires_grad_(name in trained)
        return module
    if lora.rank == 0:
        return module.requires_grad_(True)
    config = peft.LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha or 2 * lora.rank,
        target_modules="all-linear" if lora.targets == ("all-linear",) else list(lora.targets),
        task_type=task,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        try:
            return get_peft_model(module, config)
        except ValueError as error:
            raise InputError("lora.targets", lora.targets, f"names of layers ({said(error)})") from None


def _adapter_parameters(module: PeftModel) -> set[str]:
    """The names of what the adapter's configuration trains: factors, whole modules, tokens, biases."""
    config: Any = module.peft_config[module.active_adapter]
    kinds = (f".{module.base_model.prefix}", ".modules_to_save.", ".trainable_tokens_")
    names = {name for name, _ in module.named_parameters() if any(kind in name for kind in kinds)}
    bias = {"all": ".bias", "lora_only": ".base_layer.bias"}.get(getattr(config, "bias", "none"))
    if bias:
        names |= {name for name, _ in module.named_parameters() if name.endswith(bias)}
    return names
