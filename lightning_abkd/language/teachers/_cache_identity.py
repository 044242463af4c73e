"""What a teacher cache was written from."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from lightning_abkd._utils import digest
from lightning_abkd.training import own_names, unwrap

_SAMPLED_VALUES = 64


@dataclass(frozen=True)
class CacheIdentity:
    """What a cache was written from, as readable names with fingerprints; they have to match exactly.

    Args:
        model: The teacher, see `model_identity`.
        tokenizer: The tokenizer that made the token ids.
        data: The data set, its order included.

    Example: see `TeacherCache`.
    """

    model: str
    tokenizer: str
    data: str


def model_identity(network: nn.Module) -> str:
    """Name a network: its class, where its configuration says it comes from, and a fingerprint of its parameters.

    The fingerprint is the start of a SHA-256 over names, shapes, dtypes and at most 64 values of every parameter, the
    same on every device and in every process, compiled or not. A change that misses all of these values goes unnoticed;
    training changes them all. A network loaded in another dtype has another identity, since its outputs differ.

    Args:
        network: Any network. Of a configuration of transformers its `name_or_path` is used; of a local folder only the
            folder's own name.

    Returns:
        Text such as "LlamaForCausalLM owner/name 3fa92c01d7be".

    Example:
        >>> model_identity(nn.Linear(2, 1).requires_grad_(False)).startswith("Linear ")
        True
    """
    network = unwrap(network)
    source = str(getattr(getattr(network, "config", None), "name_or_path", ""))
    if source.startswith((".", "/", "~")) or source.count("/") != 1:
        source = Path(source).name
    return " ".join(filter(None, (type(network).__name__, source, digest(*_samples_of_parameters(network))[:12])))


def _samples_of_parameters(network: nn.Module) -> Iterator[bytes]:
    parameters = dict(network.named_parameters())
    for name, own in own_names(network, parameters).items():
        parameter = parameters[name]
        yield f"{own} {tuple(parameter.shape)} {parameter.dtype};".encode()
        # An odd stride visits all columns of a matrix whose width is a power of two.
        stride = math.ceil(parameter.numel() / _SAMPLED_VALUES) | 1
        values = parameter.detach().reshape(-1)[::stride].cpu().contiguous()
        yield values.view(torch.uint8).clone().numpy().tobytes()


def differences(found: dict[str, object], expected: dict[str, object]) -> list[str]:
    """Return one sentence for each value that differs from the expected one."""
    pairs = ((name, found.get(name), value) for name, value in expected.items())
    return [f"Found `{name} = {old!r}`, expected {value!r}." for name, old, value in pairs if old != value]
