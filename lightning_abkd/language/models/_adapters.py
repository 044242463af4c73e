"""Low-rank adapters, built by annotated functions that a config can name."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from torch import nn

from lightning_abkd._utils import check_at_least, check_interval, folder_or_hub, reading_pretrained, require

_CONFIG = "adapter_config.json"
_WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")


def lora(
    network: nn.Module,
    rank: int = 16,
    alpha: float = 64.0,
    dropout: float = 0.1,
    target_modules: list[str] | None = None,
    path: str | None = None,
) -> nn.Module:
    r"""Add low-rank adapters to a causal language model; they alone are trained.

    Hu et al. 2022, "LoRA", arXiv 2106.09685: a matrix W becomes

    .. math::

        W + \frac{\alpha}{r} B A,

    with A of shape (r, in) and B of shape (out, r). B starts at 0, so that the network starts as it was. Gradient
    checkpointing may be on.

    .. code-block:: yaml

        student:
          class_path: lightning_abkd.models.lora
          init_args:
            network: {class_path: lightning_abkd.models.causal_lm, init_args: {path: models/student}}

    Args:
        network: A causal language model of transformers. It is changed: its weights are frozen, its matrices wrapped.
        rank: r, at least 1; ABKD's language recipe uses 16.
        alpha: α; ABKD's recipe uses 64.
        dropout: Probability in [0, 1) of dropping an adapter's input; ABKD's recipe uses 0.1.
        target_modules: Ends of the names of the modules to adapt; None takes peft's default for the architecture.
        path: Folder of adapters to continue from, as after supervised fine-tuning; it sets all but `network`.

    Returns:
        The network with adapters, a `peft.PeftModel`.

    Raises:
        ValueError: If `rank` or `dropout` is outside its range, or the network has adapters already.
        FileNotFoundError: If `path` is neither a folder with adapters nor owner/name on the hub.
        TypeError: If the network is not a causal language model of transformers.
        ModuleNotFoundError: If peft is missing.

    Example:
        >>> from lightning_abkd.models import causal_lm_from_config
        >>> network = causal_lm_from_config("gpt2", {"n_layer": 1, "n_embd": 8, "n_head": 2, "vocab_size": 16})
        >>> adapted = lora(network, rank=2)
        >>> sum(p.numel() for p in adapted.parameters() if p.requires_grad)  # 2 (8 + 24) of attention's (24, 8)
        64
    """
    check_at_least("rank", rank, 1)
    check_interval("dropout", dropout, "[0, 1)")
    _check_adaptable(network)
    peft = require("peft", "language", "An adapter")
    with _known_warnings_ignored():
        adapted: nn.Module
        if path is not None:
            _check_adapters(folder_or_hub(path))
            with reading_pretrained(path, "adapters"):
                adapted = peft.PeftModel.from_pretrained(network, path, is_trainable=True)
        else:
            sizes = {"r": rank, "lora_alpha": alpha, "lora_dropout": dropout}
            config = peft.LoraConfig(task_type="CAUSAL_LM", target_modules=target_modules, **sizes)
            adapted = peft.get_peft_model(network, config)
    return adapted


def merge_adapters(network: nn.Module) -> nn.Module:
    """Add the adapters of a network to its weights, in place, and remove them.

    Args:
        network: A network with adapters, as `lora` makes it; one without is returned as it is.

    Returns:
        The plain network with the same outputs, all of it trainable.

    Example:
        >>> from lightning_abkd.models import causal_lm_from_config
        >>> network = causal_lm_from_config("gpt2", {"n_layer": 1, "n_embd": 8, "n_head": 2, "vocab_size": 16})
        >>> type(merge_adapters(lora(network))).__name__
        'GPT2LMHeadModel'
    """
    merge: Callable[[], nn.Module] | None = getattr(network, "merge_and_unload", None)
    return network if merge is None else merge().requires_grad_(True)


def _check_adaptable(network: nn.Module) -> None:
    if hasattr(network, "peft_config"):
        raise ValueError("Parameter `network` should have no adapters. Found some; pass `merge_adapters(network)`.")
    if not hasattr(network, "prepare_inputs_for_generation"):
        raise TypeError(
            "Parameter `network` should be a causal language model of transformers. "
            f"Found {type(network).__name__}, which does not generate."
        )


def _check_adapters(path: str) -> None:
    """Raise FileNotFoundError if a local folder lacks a file of adapters, which peft would ask the hub for."""
    folder = Path(path)
    lacks_config = not (folder / _CONFIG).is_file()
    if folder.is_dir() and (lacks_config or not any((folder / name).is_file() for name in _WEIGHTS)):
        raise FileNotFoundError(
            f"Parameter `path` should be a folder of adapters, {_CONFIG} and {' or '.join(_WEIGHTS)}. "
            f"Found `path = {path!r}`, which lacks {_CONFIG if lacks_config else 'their weights'}."
        )


@contextmanager
def _known_warnings_ignored() -> Iterator[None]:
    """Ignore two warnings of peft that a user can do nothing about."""
    with warnings.catch_warnings():
        # GPT-2 stores its matrices transposed, which peft finds and corrects.
        warnings.filterwarnings("ignore", message="fan_in_fan_out is set to")
        # peft uses a name of transformers that is deprecated.
        warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated")
        yield
