"""Small networks, by a seed, and what users wrap them in."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from lightning_abkd.models import causal_lm_from_config

GPT2 = {"vocab_size": 32, "n_positions": 16, "n_embd": 8, "n_layer": 1, "n_head": 2, "bos_token_id": 0}


def net(seed: int = 0) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(12, 5))


def gpt2(seed: int = 0, **options: Any) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return causal_lm_from_config("gpt2", {**GPT2, "eos_token_id": 0, **options})


def equal(first: nn.Module | Mapping[str, Tensor], second: nn.Module | Mapping[str, Tensor]) -> bool:
    one, two = (x.state_dict() if isinstance(x, nn.Module) else x for x in (first, second))
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def under(prefix: str, network: nn.Module) -> dict[str, Tensor]:
    return {f"{prefix}{name}": value for name, value in network.state_dict().items()}


def compiled(network: nn.Module) -> nn.Module:
    wrapped = torch.compile(network)
    assert isinstance(wrapped, nn.Module)
    return wrapped


def _with_compiled_parts(network: nn.Module) -> nn.Module:
    return nn.Sequential(*[compiled(part) for part in network.children()])


def _compiled_in_place(network: nn.Module) -> nn.Module:
    network.compile()
    return network


WRAPS: dict[str, Callable[[nn.Module], nn.Module]] = {
    "compiled": compiled,
    "parallel": nn.DataParallel,
    "averaged": AveragedModel,
    "averaged and compiled": lambda network: AveragedModel(compiled(network)),
    "parts": _with_compiled_parts,
    "in place": _compiled_in_place,
}
