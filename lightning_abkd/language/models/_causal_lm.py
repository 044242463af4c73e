"""Causal language models of transformers, built by annotated functions that a config can name."""

import importlib.util
from collections.abc import Callable, Collection, Mapping
from typing import Literal

import torch
from torch import nn

from lightning_abkd._utils import check_gguf_file, folder_or_hub, load_whole, reading_pretrained

Dtype = Literal["float32", "bfloat16", "float16"]
Quantization = Literal["int8", "4bit"]


def causal_lm(
    path: str,
    dtype: Dtype = "float32",
    gguf_file: str | None = None,
    attn_implementation: str | None = None,
    gradient_checkpointing: bool = False,
    quantization: Quantization | None = None,
    trust_remote_code: bool = False,
) -> nn.Module:
    """Load a causal language model from a folder or a hub name with `AutoModelForCausalLM.from_pretrained`.

    Args:
        path: Folder of safetensors or GGUF files, or the name of a model on the hub.
        dtype: Dtype of the weights; if they are quantized, dtype of the arithmetic.
        gguf_file: File inside the folder to read as GGUF. Its blocks are unpacked to `dtype`, so that the model trains
            and saves as any other.
        attn_implementation: "eager", "sdpa" or whatever transformers offers; None lets transformers choose.
        gradient_checkpointing: Recompute activations in the backward pass.
        quantization: Keep the weights of a teacher in 8 bits ("int8") or 4 ("4bit", NF4) with bitsandbytes.
        trust_remote_code: Run code that lies beside the weights, for architectures that transformers does not have. It
            may do whatever you may: read it first.

    Returns:
        The model, mapping input_ids (B, T) and attention_mask (B, T) to an object with `.logits` (B, T, V).

    Raises:
        FileNotFoundError: If `path` is neither a folder nor owner/name, or lacks the GGUF file.
        ValueError: If the model is not a causal language model, its files cannot be read or lack some weights, it needs
            code that is not trusted, or `quantization` and `gguf_file` are both given.
        ModuleNotFoundError: If the package that reads GGUF or quantizes is missing.

    Example:
        >>> import tempfile
        >>> folder = tempfile.mkdtemp()
        >>> sizes = {"n_layer": 1, "n_embd": 8, "n_head": 2, "vocab_size": 16}
        >>> causal_lm_from_config("gpt2", sizes).save_pretrained(folder)
        >>> causal_lm(folder, dtype="bfloat16").lm_head.weight.dtype
        torch.bfloat16
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    check_gguf_file(folder_or_hub(path), gguf_file)
    options = {
        "attn_implementation": attn_implementation,
        "quantization_config": _quantization_config(dtype, gguf_file, quantization),
    }
    if gguf_file is None:
        with reading_pretrained(path, "a causal language model"):
            config = AutoConfig.from_pretrained(path, trust_remote_code=trust_remote_code)
        if not (trust_remote_code and "AutoModelForCausalLM" in getattr(config, "auto_map", {})):
            _check_causal(config, path)
    given: dict[str, object] = {name: option for name, option in options.items() if option is not None}
    given |= {"dtype": getattr(torch, dtype), "gguf_file": gguf_file, "trust_remote_code": trust_remote_code}
    load: Callable[..., tuple[nn.Module, Mapping[str, Collection[str]]]]
    load = getattr(AutoModelForCausalLM, "from_pretrained")  # noqa: B009  (annotated as if it returned the model alone)
    model = load_whole(load, path, "a causal language model", **given)
    if gradient_checkpointing:
        # transformers before 5.24 has only the former name.
        names = ("activation_checkpointing_enable", "gradient_checkpointing_enable")
        enable = next(getattr(model, name) for name in names if hasattr(model, name))
        enable({"use_reentrant": False})
    return model


def causal_lm_from_config(model_type: str, options: dict[str, int | float | str | bool] | None = None) -> nn.Module:
    """Build a causal language model with random weights from a configuration of transformers.

    Args:
        model_type: Name of the architecture, such as "gpt2" or "llama".
        options: Arguments of its configuration, such as {"n_layer": 2, "vocab_size": 512}.

    Returns:
        The model.

    Raises:
        ValueError: If transformers knows no such architecture, or it is not a causal language model.

    Example:
        >>> model = causal_lm_from_config("gpt2", {"n_layer": 1, "n_embd": 8, "n_head": 2, "vocab_size": 16})
        >>> model(torch.zeros(1, 3, dtype=torch.long)).logits.shape
        torch.Size([1, 3, 16])
    """
    from transformers import CONFIG_MAPPING, AutoConfig, AutoModelForCausalLM

    if model_type not in CONFIG_MAPPING:
        raise ValueError(
            f"Parameter `model_type` should be known to transformers. Found `model_type = {model_type!r}`."
        )
    config = AutoConfig.for_model(model_type, **(options or {}))
    _check_causal(config, model_type)
    network: nn.Module = AutoModelForCausalLM.from_config(config)
    return network


def _quantization_config(dtype: Dtype, gguf_file: str | None, quantization: Quantization | None) -> object | None:
    """Build the configuration by which transformers reads quantized weights, or quantizes them."""
    if gguf_file is not None:
        if quantization is not None:
            raise ValueError(
                f"Parameter `quantization` should be None for a GGUF file. Found `quantization = {quantization!r}`."
            )
        return _unpacking_config()
    return None if quantization is None else _bitsandbytes_config(dtype, quantization)


def _unpacking_config() -> object | None:
    import transformers

    # transformers before 5 always unpacks, and has no such class.
    config = getattr(transformers, "GgufConfig", None)
    return None if config is None else config(dequantize=True)


def _bitsandbytes_config(dtype: Dtype, quantization: Quantization) -> object:
    from transformers import BitsAndBytesConfig

    if importlib.util.find_spec("bitsandbytes") is None:
        raise ModuleNotFoundError(
            f"`quantization = {quantization!r}` needs bitsandbytes: pip install bitsandbytes. "
            'Without it `dtype = "bfloat16"` halves the memory.'
        )
    if quantization == "int8":
        return BitsAndBytesConfig(load_in_8bit=True)
    compute = getattr(torch, dtype)
    return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=compute)


def _check_causal(config: object, name: str) -> None:
    """Raise ValueError if a configuration is not that of a causal language model."""
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, MODEL_FOR_MASKED_LM_MAPPING

    # An architecture that also fills masks looks ahead, unless its configuration says that it is a decoder.
    ahead = type(config) in MODEL_FOR_MASKED_LM_MAPPING or getattr(config, "is_encoder_decoder", False)
    if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING or (ahead and not getattr(config, "is_decoder", False)):
        raise ValueError(f"{name} should be a causal language model. Found the configuration {type(config).__name__}.")
