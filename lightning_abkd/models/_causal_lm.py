"""Causal language models of transformers, by annotated factories that a config can name."""

import copy
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch
from torch import nn

if TYPE_CHECKING:
    from transformers import PretrainedConfig

Dtype = Literal["float32", "bfloat16", "float16"]


def causal_lm(
    path: str,
    dtype: Dtype = "float32",
    gguf_file: str | None = None,
    attn_implementation: str | None = None,
    gradient_checkpointing: bool = False,
) -> nn.Module:
    """Load a causal language model from a folder or a hub name with `AutoModelForCausalLM.from_pretrained`.

    Args:
        path: Folder of safetensors or GGUF files, or the name of a model on the hub.
        dtype: Dtype of the weights.
        gguf_file: File inside the folder to read as GGUF (needs the package `gguf`).
        attn_implementation: "eager", "sdpa" or whatever transformers offers; None lets it choose.
        gradient_checkpointing: Recompute activations in the backward pass.

    Returns:
        The model, mapping input_ids (B, T) and attention_mask (B, T) to an object with `.logits` (B, T, V).

    Raises:
        FileNotFoundError: If `path` looks like a folder but there is none, or lacks the GGUF file.
        ValueError: If the model is no causal language model.
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    folder = Path(path)
    if not folder.is_dir() and (path.startswith((".", "/", "~")) or path.count("/") != 1):
        raise FileNotFoundError(
            f"Parameter `path` should be a folder or owner/name on the hub. Found no folder {path!r}."
        )
    if gguf_file is not None and folder.is_dir() and not (folder / gguf_file).is_file():
        raise FileNotFoundError(f"Parameter `gguf_file` should be a file in {path}. Found none named {gguf_file!r}.")
    options = {} if attn_implementation is None else {"attn_implementation": attn_implementation}
    if gguf_file is None:
        _check_causal(AutoConfig.from_pretrained(path), path)
    model = AutoModelForCausalLM.from_pretrained(path, dtype=getattr(torch, dtype), gguf_file=gguf_file, **options)
    if gradient_checkpointing:
        model.gradient_checkpointing_enable()
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


def truncated(teacher: nn.Module, layers: list[int]) -> nn.Module:
    """Copy a causal language model with a choice of its layers: a student that starts from the teacher's weights.

    Args:
        teacher: A model of transformers whose layers are a ModuleList, such as GPT-2, Llama or Qwen. It is not changed.
        layers: Indices of the layers to keep, in the order in which they are to run.

    Returns:
        The smaller model, its configuration adapted.

    Raises:
        ValueError: If the layers cannot be found, or an index is outside them.
    """
    lists = {name: m for name, m in teacher.named_modules() if isinstance(m, nn.ModuleList) and "." in name}
    name = next((name for name in lists if name.rpartition(".")[2] in ("h", "layers", "block")), None)
    if name is None:
        raise ValueError(f"Parameter `teacher` should have its layers in a ModuleList. Found {type(teacher).__name__}.")
    depth = len(lists[name])
    if not layers or not all(0 <= index < depth for index in layers):
        raise ValueError(f"Parameter `layers` should hold indices from 0 to {depth - 1}. Found `layers = {layers}`.")
    student = copy.deepcopy(teacher)
    parent = student.get_submodule(name.rpartition(".")[0])
    kept = [copy.deepcopy(student.get_submodule(f"{name}.{index}")) for index in layers]
    for position, layer in enumerate(kept):
        # The key-value cache of a layer is found by its index.
        for module in layer.modules():
            if hasattr(module, "layer_idx"):
                setattr(module, "layer_idx", position)  # noqa: B010  (a Module's attributes are typed as tensors)
    setattr(parent, name.rpartition(".")[2], nn.ModuleList(kept))
    _shorten(getattr(student, "config"), layers)  # noqa: B009
    return student.requires_grad_(True)


def _shorten(config: "PretrainedConfig", layers: list[int]) -> None:
    """Adapt the configuration to the layers kept, so that the saved model loads again."""
    config.num_hidden_layers = len(layers)
    types = getattr(config, "layer_types", None)
    if types:
        config.layer_types = [types[index] for index in layers]


def _check_causal(config: object, name: str) -> None:
    from transformers import AutoModelForCausalLM

    encoder = getattr(config, "model_type", "") in ("bert", "roberta", "distilbert", "electra", "albert", "deberta-v2")
    if encoder or type(config) not in AutoModelForCausalLM._model_mapping:
        raise ValueError(f"{name} should be a causal language model. Found the configuration {type(config).__name__}.")
