"""Low-rank adapters, by annotated factories that a config can name."""

import warnings

from torch import nn


def lora(
    network: nn.Module,
    rank: int = 16,
    alpha: float = 64.0,
    dropout: float = 0.1,
    target_modules: list[str] | None = None,
    path: str | None = None,
) -> nn.Module:
    """Give a causal language model low-rank adapters, of which alone it learns.

    Hu et al. 2022, "LoRA", arXiv 2106.09685: a matrix W becomes W + (alpha / rank) B A with A (rank, in) and
    B (out, rank), so that the network starts as it was. Gradient checkpointing may be on.

    .. code-block:: yaml

        student:
          class_path: lightning_abkd.models.lora
          init_args:
            network: {class_path: lightning_abkd.models.causal_lm, init_args: {path: models/student}}

    Args:
        network: A causal language model of transformers. It is changed: its weights are frozen, its matrices wrapped.
        rank: Rank of the adapters, at least 1; ABKD's language recipe uses 16.
        alpha: Numerator of the scale alpha / rank; ABKD's recipe uses 64.
        dropout: Probability in [0, 1) of dropping an adapter's input; ABKD's recipe uses 0.1.
        target_modules: Ends of the names of the modules to adapt; None takes what peft knows for the architecture.
        path: Folder of adapters to go on from, as after supervised fine-tuning; all but `network` is read from it.

    Returns:
        The network with adapters, a `peft.PeftModel`.

    Raises:
        ValueError: If `rank` or `dropout` is outside its range, or the network has adapters already.
        TypeError: If the network is no causal language model of transformers.
        ModuleNotFoundError: If peft is missing.

    Example:
        >>> from lightning_abkd.models import causal_lm_from_config
        >>> network = causal_lm_from_config("gpt2", {"n_layer": 1, "n_embd": 8, "n_head": 2, "vocab_size": 16})
        >>> adapted = lora(network, rank=2)
        >>> sum(p.numel() for p in adapted.parameters() if p.requires_grad)  # 2 (8 + 24) of attention's (24, 8)
        64
    """
    if rank < 1:
        raise ValueError(f"Parameter `rank` should be at least 1. Found `rank = {rank}`.")
    if not 0.0 <= dropout < 1.0:
        raise ValueError(f"Parameter `dropout` should lie in [0, 1). Found `dropout = {dropout}`.")
    if hasattr(network, "peft_config"):
        raise ValueError("Parameter `network` should have no adapters. Found some; pass `merge_adapters(network)`.")
    if not hasattr(network, "prepare_inputs_for_generation"):
        raise TypeError(
            "Parameter `network` should be a causal language model of transformers. "
            f"Found {type(network).__name__}, which does not generate."
        )
    try:
        from peft import LoraConfig, PeftModel, get_peft_model
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("Adapters need peft: pip install 'lightning-abkd[language]'.") from error
    with warnings.catch_warnings():
        # GPT-2 stores its matrices transposed, which peft finds, corrects and says.
        warnings.filterwarnings("ignore", message="fan_in_fan_out is set to")
        # peft asks transformers by a name that goes out of use.
        warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated")
        if path is not None:
            return PeftModel.from_pretrained(network, path, is_trainable=True)
        config = LoraConfig(
            task_type="CAUSAL_LM",
            r=rank,
            lora_alpha=alpha,  # type: ignore[arg-type]
            lora_dropout=dropout,
            target_modules=target_modules,
        )
        return get_peft_model(network, config)


def merge_adapters(network: nn.Module) -> nn.Module:
    """Add the adapters of a network to its weights, in place, and drop them.

    Args:
        network: A network with adapters, as `lora` makes it; one without is returned as it is.

    Returns:
        The plain network with the same outputs, all of it trainable.
    """
    if not hasattr(network, "merge_and_unload"):
        return network
    plain: nn.Module = network.merge_and_unload()  # type: ignore[operator]
    return plain.requires_grad_(True)
