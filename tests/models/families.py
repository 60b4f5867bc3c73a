"""Tiny random models of every causal family that the installed ``transformers`` has.

A family is a ``model_type`` of its causal mapping. Its default configuration is made small by the names of
its fields (``SIZES``) and of its lists with an entry per layer, of which every kind stays; what does not fit
together after that is set right in ``CHANGES``.
"""

from __future__ import annotations

from typing import Any

import torch

VOCABULARY = 160
CONTEXT = 256
LAYERS = 4
WINDOW = 8

_SAME: tuple[tuple[int, str], ...] = (
    (VOCABULARY, "vocab_size vocab_size_per_layer_input unpadded_vocab_size"),
    (
        CONTEXT,
        "max_position_embeddings n_positions n_ctx max_seq_len context_length max_target_positions "
        "max_source_positions model_max_length",
    ),
    (
        64,
        "hidden_size n_embd d_model emb_dim embedding_dim embedding_size word_embed_proj_dim lru_width "
        "attention_hidden_size input_embedding_size output_embedding_size pronunciation_embed_dim "
        "shape_embed_dim mamba_d_ssm ple_embed_dim",
    ),
    (
        96,
        "intermediate_size ffn_dim encoder_ffn_dim decoder_ffn_dim intermediate_size_mlp "
        "dense_intermediate_size dff dim_ff d_inner n_inner ffn_hidden_size feed_forward_size "
        "block_ff_dim",
    ),
    (
        48,
        "moe_intermediate_size shared_expert_intermediate_size shared_experts_intermediate_size "
        "shared_intermediate_size moe_shared_expert_intermediate_size expert_ffn_hidden_size "
        "router_hidden_size",
    ),
    (
        LAYERS,
        "num_hidden_layers n_layer n_layers num_layers num_blocks decoder_layers encoder_layers "
        "num_decoder_layers num_encoder_layers num_attention_heads n_head n_heads num_heads "
        "attention_heads encoder_attention_heads decoder_attention_heads num_encoder_attention_heads "
        "num_decoder_attention_heads swa_num_attention_heads linear_num_heads linear_num_value_heads "
        "num_experts num_local_experts n_routed_experts moe_num_experts zero_expert_num "
        "global_attn_every_n_layers",
    ),
    (
        2,
        "num_key_value_heads num_kv_heads swa_num_key_value_heads linear_num_key_heads "
        "num_experts_per_tok num_experts_per_token moe_topk moe_k mlp_interleave attn_layer_period "
        "sliding_window_pattern _sliding_window_pattern layer_group_size mamba_expand expand",
    ),
    (
        1,
        "n_group topk_group num_expert_group first_k_dense_replace num_dense_layers n_shared_experts "
        "attn_layer_offset n_groups mamba_n_groups mamba_ngroups moe_layer_start_index",
    ),
    (
        16,
        "head_dim d_head dim_head v_head_dim qk_nope_head_dim kv_lora_rank linear_head_dim "
        "linear_key_head_dim linear_value_head_dim index_head_dim swa_head_dim kv_channels "
        "attention_head_size hidden_size_per_layer_input mamba_d_head mamba_head_dim mamba_headdim "
        "query_pre_attn_scalar chunk_size mamba_chunk_size block_size attention_chunk_size floor_scale "
        "mamba_d_state state_size ssm_state_size d_rel time_step_rank mamba_dt_rank index_topk "
        "index_n_heads",
    ),
    (32, "q_lora_rank o_lora_rank ple_lora_rank hc_lowrank local_attn_chunk_length lsh_attn_chunk_length"),
    (8, "qk_rope_head_dim rotary_dim mamba_n_heads n_mamba_heads mamba_num_heads laurel_rank"),
    (
        WINDOW,
        "sliding_window sliding_window_size attention_window_size window_size local_attention "
        "local_attention_window_len rel_extent",
    ),
)

TOKENS = {
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
    "sep_token_id": 3,
    "decoder_start_token_id": 1,
}

SIZES: dict[str, int] = {name: size for size, names in _SAME for name in names.split()}
"""Fields of configurations that are set wherever a family has them, as far as they hold a number there."""

_ROPE = {"rope_theta": 10000.0, "rope_type": "default"}
_KINDS = ("sliding_attention", "full_attention")
_DOTS3 = {
    "swa_num_attention_heads": LAYERS,
    "swa_num_key_value_heads": LAYERS,
    "swa_q_lora_rank": 32,
    "swa_kv_lora_rank": 16,
    "swa_head_dim": 24,
    "swa_qk_nope_head_dim": 16,
    "swa_v_head_dim": 16,
    "head_dim": 24,
}
_GRANITE = {
    "logits_scaling": 2.0,
    "attention_multiplier": 0.3,
    "residual_multiplier": 0.7,
    "embedding_multiplier": 3.0,
}
_INDEXER = {
    "indexer_n_heads": 16,
    "indexer_kv_heads": 1,
    "indexer_head_dim": 16,
    "indexer_budget": 16,
    "indexer_compress_ratio": 4,
    "ngram_vocab_size_base": 200,
    "split_ngram_parts": 1,
}
_GEMMA4 = {"global_head_dim": 32, "num_kv_shared_layers": 0}

CHANGES: dict[str, dict[str, Any]] = {
    "bamba": {"attn_layer_indices": [1, 3]},
    "codegen": {"rotary_dim": 8},
    "blt": {
        "encoder_hash_byte_group_vocab": 50,
        "encoder_config": {"hidden_size_global": 64},
        "decoder_config": {"hidden_size_global": 64},
    },
    "cohere": {"logit_scale": 0.4},
    "cohere2": {"logit_scale": 0.4},
    "cohere2_moe": {"logit_scale": 0.4},
    "cohere_compass_text": {
        "layer_types": ["sliding_attention", "full_attention"] * 2,
        "rope_parameters": {kind: _ROPE | {"mrope_section": [4, 2, 2]} for kind in _KINDS},
    },
    "dbrx": {
        "attn_config": {"kv_n_heads": 2, "rope_theta": 10000.0, "clip_qkv": 8.0},
        "ffn_config": {"hidden_size": 64, "ffn_hidden_size": 48, "moe_num_experts": 4, "moe_top_k": 2},
    },
    "deepseek_v2": {"num_experts_per_tok": 2},
    "deepseek_v3": {"first_k_dense_replace": 1},
    "dots1": {"n_routed_experts": 4, "num_experts_per_tok": 2, "n_shared_experts": 1},
    "dots3_note": {
        "text_config": _DOTS3,
        "vision_config": {"adapter_in_dim": 64, "adapter_out_dim": 64},
        "audio_config": {"adapter_input_size": 64, "adapter_out_dim": 64},
    },
    "dots3_note_text": _DOTS3,
    "falcon_h1": {"mamba_d_ssm": 128, "lm_head_multiplier": 0.5, "key_multiplier": 0.6},
    "gemma3n_text": {"num_kv_shared_layers": 0, "intermediate_size": [96] * LAYERS},
    "gemma4": {"text_config": _GEMMA4},
    "gemma4_text": _GEMMA4,
    "gemma4_unified": {"text_config": _GEMMA4},
    "gemma4_unified_text": _GEMMA4,
    "gpt_bigcode": {"num_key_value_heads": 1},
    "gpt_neo": {"attention_types": [[["global", "local"], 2]]},
    "granite": _GRANITE,
    "granite_swa": _GRANITE,
    "granitemoe": _GRANITE,
    "granitemoe_swa": _GRANITE,
    "granitemoeshared": _GRANITE,
    "granitemoehybrid": {"layer_types": ["mamba", "attention"] * 2, "position_embedding_type": "rope"},
    "hunyuan_v1_dense": {"head_dim": 16},
    "hunyuan_v1_moe": {"head_dim": 16},
    "inkling2_text": {"logits_mup_width_multiplier": 2.0},
    "inkling_text": {"logits_mup_width_multiplier": 2.0},
    "laguna": {"num_attention_heads_per_layer": [LAYERS] * LAYERS},
    "lfm2": {"layer_types": ["conv", "full_attention"] * 2, "block_auto_adjust_ff_dim": False},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"] * 2},
    "mamba2": {"num_heads": 8},
    "ministral": {"head_dim": 16},
    "nemotron": {"num_key_value_heads": 2},
    "qwen4_exp": {"text_config": _INDEXER},
    "qwen4_exp_text": _INDEXER,
    "reformer": {"is_decoder": True, "axial_pos_shape": [16, 16], "axial_pos_embds_dim": [32, 32]},
    "xmod": {"default_language": "en_XX"},
    "zamba": {"attention_hidden_size": 128, "attention_head_dim": 32, "num_key_value_heads": 4},
    "zamba2": {"attention_hidden_size": 128, "attention_head_dim": 32, "num_key_value_heads": 4},
    "zaya": {"num_experts_per_tok": 1},
}
"""By family: fields that the names alone do not set right."""


def names() -> list[str]:
    """The families, sorted."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    return sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)


def tiny(family: str, seed: int = 0, **changes: Any) -> Any:
    """A model of ``family`` with a few layers and random weights, in evaluation mode.

    One whose configuration speaks of an encoder too has it, as what is published of such a family has.
    Raises whatever its configuration or its layers raise where they cannot be made small.
    """
    from transformers import CONFIG_MAPPING, AutoModelForCausalLM, AutoModelForSeq2SeqLM

    torch.manual_seed(seed)
    config = small(CONFIG_MAPPING[family], {**CHANGES.get(family, {}), **changes})
    whole = config.is_encoder_decoder and type(config) in AutoModelForSeq2SeqLM._model_mapping
    kind = AutoModelForSeq2SeqLM if whole else AutoModelForCausalLM
    module = kind.from_config(config, dtype=torch.float32)
    _randomise(module, seed)
    module.generation_config.eos_token_id = TOKENS["eos_token_id"]
    module.generation_config.pad_token_id = TOKENS["pad_token_id"]
    return module.eval()


def small(kind: Any, changes: dict[str, Any]) -> Any:
    """The configuration of class ``kind`` with its sizes and its number of layers made small."""
    default = kind()
    values = default.to_dict()
    fields = {name: size for name, size in SIZES.items() if _is_number(_value(default, values, name))}
    if "kv_lora_rank" in fields:  # latent attention: a key for each head
        fields |= {"num_key_value_heads": LAYERS, "head_dim": 8}
    fields |= _layer_lists(values)
    fields |= {name: token for name, token in TOKENS.items() if name in values}
    for name in kind.sub_configs:
        if (sub := getattr(default, name, None)) is not None:
            fields[name] = small(type(sub), changes.get(name, {})).to_dict()
    computed = {name for name in fields if isinstance(getattr(kind, name, None), property)}
    fields = {name: value for name, value in fields.items() if name not in computed}
    own = {name: value for name, value in changes.items() if name not in kind.sub_configs}
    return kind(**fields | own)


def _value(config: Any, values: dict[str, Any], name: str) -> Any:
    return values[name] if name in values else values.get(config.attribute_map.get(name, ""))


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _layer_lists(values: dict[str, Any]) -> dict[str, list[Any]]:
    """Lists with one entry per layer, cut to ``LAYERS`` layers among which each kind is."""
    count = next((values[name] for name in ("num_hidden_layers", "n_layer") if name in values), 0)
    lists = {name: value for name, value in values.items() if isinstance(value, list) and len(value) == count}
    if not count or not lists:
        return {}
    kinds: dict[str, int] = {}
    for layer in range(count):
        kinds.setdefault(repr([value[layer] for value in lists.values()]), layer)
    layers = list(kinds.values())[:LAYERS]
    chosen = [layers[place % len(layers)] for place in range(LAYERS)]
    return {name: [value[layer] for layer in chosen] for name, value in lists.items()}


def _randomise(module: Any, seed: int) -> None:
    """Weights far from what they are initialised to, so that every one of them shows in the logits.

    Matrices get a standard deviation that keeps activations as large as they are; biases, the weights of
    norms and the corrections that experts are chosen by are moved away from 0 and 1.
    """
    numbers = torch.Generator().manual_seed(seed + 1)
    corrections = [buffer for name, buffer in module.named_buffers() if name.endswith("correction_bias")]
    with torch.no_grad():
        for weight in (*module.parameters(), *corrections):
            noise = torch.randn(weight.shape, generator=numbers)
            if weight.ndim >= 2 and float(weight.std()) > 0:
                weight.copy_(noise * 0.2)
            else:
                weight.add_(noise * 0.15)
        for embedding in module.modules():
            if isinstance(embedding, torch.nn.Embedding) and embedding.padding_idx is not None:
                embedding.weight[embedding.padding_idx] = 0  # as some are read, whatever is in their file


WORDS = tuple(f"w{number}" for number in range(VOCABULARY - 8))


def word_tokenizer() -> Any:
    """A tokenizer of ``VOCABULARY`` whole words, whose template ends turns with <end>."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit
    from transformers import PreTrainedTokenizerFast

    words = ("<pad>", "<bos>", "<end>", "<turn>", "system", "user", "assistant", "<unk>", *WORDS)
    tokenizer = Tokenizer(WordLevel({word: index for index, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<end>", additional_special_tokens=["<turn>"]
    )
    wrapped.chat_template = (
        "{% for m in messages %}{{ '<turn> ' + m['role'] + ' ' + m['content'] + ' <end> ' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<turn> assistant ' }}{% endif %}"
    )
    return wrapped
