"""Students made of some of a teacher's layers."""

import copy
from typing import TYPE_CHECKING

import torch
from torch import nn

from lightning_abkd.language.models._causal_lm import Dtype

if TYPE_CHECKING:
    from transformers import PretrainedConfig

# Names that architectures of transformers use for the list of their layers.
_LIST_NAMES = ("h", "layers", "block")


def keep_layers(teacher: nn.Module, layers: list[int], dtype: Dtype = "float32") -> nn.Module:
    """Copy a causal language model with some of its layers: a student that starts from the teacher's weights.

    Args:
        teacher: A model of transformers whose layers are a ModuleList, such as GPT-2, Llama or Qwen. It is not changed.
        layers: Indices of the layers to keep, in the order in which they run. An index that occurs twice makes two
            layers.
        dtype: Dtype of the student's weights, whatever the teacher's; float32 is best for training.

    Returns:
        The smaller model with an adapted configuration; all of it is trainable.

    Raises:
        ValueError: If the layers are not found, an index is outside them, or the teacher is quantized.

    Example:
        >>> from lightning_abkd.models import causal_lm_from_config
        >>> sizes = {"n_layer": 3, "n_embd": 8, "n_head": 2, "vocab_size": 16}
        >>> keep_layers(causal_lm_from_config("gpt2", sizes), [0, 2]).config.num_hidden_layers
        2
    """
    path = _path_of_layers(teacher)
    _check_layers(teacher, path, layers)
    student = _copy_with(teacher, path, layers)
    _shorten_config(getattr(student, "config"), layers)  # noqa: B009  (a Module's attributes are typed as tensors)
    _cast_parameters(student, getattr(torch, dtype))
    return student.requires_grad_(True)


def _path_of_layers(network: nn.Module) -> str:
    """Find the path of the first ModuleList that has the name of a list of layers."""
    lists: list[str] = [path for path, module in network.named_modules() if isinstance(module, nn.ModuleList)]
    for path in lists:
        if "." in path and path.rpartition(".")[2] in _LIST_NAMES:
            return path
    raise ValueError(f"Parameter `teacher` should have its layers in a ModuleList. Found {type(network).__name__}.")


def _check_layers(teacher: nn.Module, path: str, layers: list[int]) -> None:
    depth = len(list(teacher.get_submodule(path).children()))
    if not layers or not all(0 <= index < depth for index in layers):
        raise ValueError(f"Parameter `layers` should hold indices from 0 to {depth - 1}. Found `layers = {layers}`.")
    if getattr(teacher, "is_quantized", False):
        raise ValueError(
            "Parameter `teacher` should have trainable weights. Found quantized ones; load it without `quantization`."
        )


def _copy_with(network: nn.Module, path: str, layers: list[int]) -> nn.Module:
    """Copy a network with the chosen layers alone; the others are never copied."""
    # deepcopy does not copy what its memo holds.
    memo = {id(x): nn.Identity() for i, x in enumerate(network.get_submodule(path).children()) if i not in layers}
    student = copy.deepcopy(network, memo)
    copies = list(student.get_submodule(path).children())
    kept = nn.ModuleList()
    for position, index in enumerate(layers):
        is_repeated = index in layers[:position]
        kept.append(copy.deepcopy(copies[index]) if is_repeated else copies[index])
    _renumber(kept)
    parent = student.get_submodule(path.rpartition(".")[0])
    parent.add_module(path.rpartition(".")[2], kept)
    return student


def _renumber(layers: nn.ModuleList) -> None:
    """Write each layer's position into its modules: the cache of keys and values finds them by it."""
    for position, layer in enumerate(layers):
        for module in layer.modules():
            if hasattr(module, "layer_idx"):
                vars(module)["layer_idx"] = position


def _shorten_config(config: "PretrainedConfig", layers: list[int]) -> None:
    """Adapt the configuration to the kept layers, so that the saved model loads again."""
    config.num_hidden_layers = len(layers)
    types = getattr(config, "layer_types", None)
    if types:
        config.layer_types = [types[index] for index in layers]


def _cast_parameters(network: nn.Module, dtype: torch.dtype) -> None:
    """Cast the parameters alone: buffers such as rotary frequencies are float32 in every model."""
    for parameter in network.parameters():
        parameter.data = parameter.data.to(dtype)
