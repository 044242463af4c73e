"""Causal language models of transformers, by annotated factories that a config can name."""

import copy
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch
from torch import nn

if TYPE_CHECKING:
    from transformers import PretrainedConfig

Dtype = Literal["float32", "bfloat16", "float16"]
Quantization = Literal["int8", "4bit"]


def causal_lm(
    path: str,
    dtype: Dtype = "float32",
    gguf_file: str | None = None,
    attn_implementation: str | None = None,
    gradient_checkpointing: bool = False,
    quantization: Quantization | None = None,
) -> nn.Module:
    """Load a causal language model from a folder or a hub name with `AutoModelForCausalLM.from_pretrained`.

    Args:
        path: Folder of safetensors or GGUF files, or the name of a model on the hub.
        dtype: Dtype of the weights; of the arithmetic where they are quantized.
        gguf_file: File inside the folder to read as GGUF. Its blocks are unpacked to `dtype`, so that the model trains
            and saves as any other.
        attn_implementation: "eager", "sdpa" or whatever transformers offers; None lets it choose.
        gradient_checkpointing: Recompute activations in the backward pass.
        quantization: Keep the weights of a teacher in 8 bits ("int8") or 4 ("4bit", NF4) with bitsandbytes.

    Returns:
        The model, mapping input_ids (B, T) and attention_mask (B, T) to an object with `.logits` (B, T, V).

    Raises:
        FileNotFoundError: If `path` looks like a folder but there is none, or lacks the GGUF file.
        ValueError: If the model is no causal language model, or `quantization` and `gguf_file` are both given.
        ModuleNotFoundError: If the package that reads GGUF or quantizes is missing.
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    folder = Path(path)
    if not folder.is_dir() and (path.startswith((".", "/", "~")) or path.count("/") != 1):
        raise FileNotFoundError(
            f"Parameter `path` should be a folder or owner/name on the hub. Found no folder {path!r}."
        )
    if gguf_file is not None and folder.is_dir() and not (folder / gguf_file).is_file():
        raise FileNotFoundError(f"Parameter `gguf_file` should be a file in {path}. Found none named {gguf_file!r}.")
    options = {
        "attn_implementation": attn_implementation,
        "quantization_config": _loading(dtype, gguf_file, quantization),
    }
    if gguf_file is None:
        _check_causal(AutoConfig.from_pretrained(path), path)
    given = {name: option for name, option in options.items() if option is not None}
    model = AutoModelForCausalLM.from_pretrained(path, dtype=getattr(torch, dtype), gguf_file=gguf_file, **given)
    if gradient_checkpointing:
        # Releases before 5.24 know it by its old name only.
        enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
        enable({"use_reentrant": False})
    network: nn.Module = model
    return network


def causal_lm_from_config(model_type: str, options: dict[str, int | float | str | bool] | None = None) -> nn.Module:
    """Build a causal language model with random weights from a configuration of transformers.

    Args:
        model_type: Name of the architecture, such as "gpt2" or "llama".
        options: Arguments of its configuration, such as {"n_layer": 2, "vocab_size": 512}.

    Returns:
        The model.

    Raises:
        ValueError: If transformers knows no such architecture, or it is no causal language model.

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


def keep_layers(teacher: nn.Module, layers: list[int], dtype: Dtype = "float32") -> nn.Module:
    """Copy a causal language model with a choice of its layers: a student that starts from the teacher's weights.

    Args:
        teacher: A model of transformers whose layers are a ModuleList, such as GPT-2, Llama or Qwen. It is not changed.
        layers: Indices of the layers to keep, in the order in which they are to run.
        dtype: Dtype of the student's weights, whatever the teacher's; training wants float32.

    Returns:
        The smaller model, its configuration adapted, all of it trainable.

    Raises:
        ValueError: If the layers cannot be found, an index is outside them, or the teacher is quantized.
    """
    lists = {name: m for name, m in teacher.named_modules() if isinstance(m, nn.ModuleList) and "." in name}
    name = next((name for name in lists if name.rpartition(".")[2] in ("h", "layers", "block")), None)
    if name is None:
        raise ValueError(f"Parameter `teacher` should have its layers in a ModuleList. Found {type(teacher).__name__}.")
    depth = len(lists[name])
    if not layers or not all(0 <= index < depth for index in layers):
        raise ValueError(f"Parameter `layers` should hold indices from 0 to {depth - 1}. Found `layers = {layers}`.")
    if getattr(teacher, "is_quantized", False):
        raise ValueError("Parameter `teacher` should have weights that train. Found quantized ones; load it without.")
    # A copy takes what its memo holds for done: the layers that go are never copied.
    student = copy.deepcopy(teacher, {id(m): nn.Identity() for i, m in enumerate(lists[name]) if i not in layers})
    copies = list(student.get_submodule(name).children())
    kept = [copies[i] if i not in layers[:at] else copy.deepcopy(copies[i]) for at, i in enumerate(layers)]
    for position, layer in enumerate(kept):
        # The key-value cache of a layer is found by its index.
        for module in layer.modules():
            if hasattr(module, "layer_idx"):
                setattr(module, "layer_idx", position)  # noqa: B010  (a Module's attributes are typed as tensors)
    setattr(student.get_submodule(name.rpartition(".")[0]), name.rpartition(".")[2], nn.ModuleList(kept))
    _shorten(getattr(student, "config"), layers)  # noqa: B009
    for parameter in student.parameters():
        # Buffers stay: rotary frequencies are float32 in every model.
        parameter.data = parameter.data.to(getattr(torch, dtype))
    return student.requires_grad_(True)


def _shorten(config: "PretrainedConfig", layers: list[int]) -> None:
    """Adapt the configuration to the layers kept, so that the saved model loads again."""
    config.num_hidden_layers = len(layers)
    types = getattr(config, "layer_types", None)
    if types:
        config.layer_types = [types[index] for index in layers]


def _loading(dtype: Dtype, gguf_file: str | None, quantization: Quantization | None) -> object | None:
    """Give the configuration by which transformers reads quantized weights, or quantizes them."""
    import transformers

    if gguf_file is not None:
        if quantization is not None:
            raise ValueError(
                f"Parameter `quantization` should be None for a GGUF file. Found `quantization = {quantization!r}`."
            )
        if importlib.util.find_spec("gguf") is None:
            raise ModuleNotFoundError("GGUF files need the package gguf: pip install 'lightning-abkd[language]'.")
        # Releases before 5 know no other way than to unpack, and have no such class.
        config = getattr(transformers, "GgufConfig", None)
        return None if config is None else config(dequantize=True)
    if quantization is None:
        return None
    if importlib.util.find_spec("bitsandbytes") is None:
        raise ModuleNotFoundError(
            f"`quantization = {quantization!r}` needs bitsandbytes: pip install bitsandbytes. "
            'Without it `dtype = "bfloat16"` halves the memory.'
        )
    if quantization == "int8":
        return transformers.BitsAndBytesConfig(load_in_8bit=True)
    compute = getattr(torch, dtype)
    return transformers.BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=compute)


def _check_causal(config: object, name: str) -> None:
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, MODEL_FOR_MASKED_LM_MAPPING

    # An architecture that also fills masks looks ahead, unless its configuration says that it is a decoder.
    ahead = type(config) in MODEL_FOR_MASKED_LM_MAPPING or getattr(config, "is_encoder_decoder", False)
    if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING or (ahead and not getattr(config, "is_decoder", False)):
        raise ValueError(f"{name} should be a causal language model. Found the configuration {type(config).__name__}.")
