"""Whether the parts of a network compute the logits that the whole does."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from lightning_abkd.distributed import is_sharded, whole
from lightning_abkd.language._batches import TokenBatch, network_inputs
from lightning_abkd.language.teachers._output_layer import computes_more
from lightning_abkd.losses import OutputHead
from lightning_abkd.training import call, eval_mode, logits_of


def check_same_logits(
    network: nn.Module, hidden: Callable[..., Tensor], head: OutputHead, inputs: TokenBatch | None = None
) -> None:
    """Raise ValueError, with the reason, if the parts of a network compute other logits than the whole.

    Args:
        network: The whole network. If it has trainable parameters, train mode is compared too, with the same random
            numbers: a dropout between hidden states and output layer shows there alone.
        hidden: Function of the same keyword arguments that returns last hidden states (B, T, D).
        head: What computes logits from them.
        inputs: A few tokens; None takes the first four ids.
    """
    device = head.weight.device
    tokens = _first_ids(len(head.weight), device) if inputs is None else inputs
    trains = any(parameter.requires_grad for parameter in network.parameters())
    with eval_mode(network), torch.autocast(device.type, enabled=False), _state_kept(network, device):
        _compare(network, hidden, head, tokens)
        if trains:
            network.train()
            _compare(network, hidden, head, tokens)


def _first_ids(vocabulary: int, device: torch.device) -> TokenBatch:
    ids = torch.arange(min(4, vocabulary), device=device).unsqueeze(0)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def _compare(network: nn.Module, hidden: Callable[..., Tensor], head: OutputHead, tokens: TokenBatch) -> None:
    name = type(network).__name__
    torch.manual_seed(0)
    expected = whole(logits_of(call(network, network_inputs(tokens, network)), name))
    torch.manual_seed(0)
    try:
        states = hidden(**tokens)
        separate = whole(head.logits(states))
    except (AttributeError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(f"the backbone of {name} cannot be called alone ({error})") from error
    if is_sharded(states):
        raise ValueError(f"the last hidden states of {name} lie on several processes")
    tolerance = 1e-4 if expected.dtype in (torch.float32, torch.float64) else 0.02
    if expected.shape != separate.shape or not _are_close(expected, separate.to(expected.dtype), tolerance):
        raise computes_more(name)


def _are_close(expected: Tensor, separate: Tensor, tolerance: float) -> bool:
    return torch.allclose(expected, separate, rtol=tolerance, atol=tolerance, equal_nan=True)


@contextmanager
def _state_kept(network: nn.Module, device: torch.device) -> Iterator[None]:
    """Keep random state and buffers, such as running means, and be quiet about gradients that nobody asks for."""
    kept = [(buffer, buffer.clone()) for buffer in network.buffers()]
    devices = [] if device.type == "cpu" else [device]
    with torch.random.fork_rng(devices, device_type=device.type), warnings.catch_warnings(action="ignore"):
        try:
            yield
        finally:
            for buffer, value in kept:
                buffer.copy_(value)
