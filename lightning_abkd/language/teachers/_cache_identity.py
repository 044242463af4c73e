"""What a teacher cache was written from."""

import math
import re
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from lightning_abkd._utils import digest
from lightning_abkd.training import own_names, unwrap

_SAMPLED_VALUES = 64
_SAMPLED_DIGITS = 12
# Values that are read at once: of a network on a GPU, what a copy of them takes on the host.
_PART = 2**24


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
    """Name a network: its class, where its configuration says it comes from, and a fingerprint of all that it keeps.

    The fingerprint is the start of a SHA-256 over names, shapes, dtypes and all values of its parameters and of the
    buffers in its state dict, the same on every device and in every process, compiled or not. One changed value gives
    another one. A network loaded in another dtype has another identity, since its outputs differ. It reads every weight
    once, which takes a while for a model of many GB; `CachedTeacher` does it while the teacher answers.

    Args:
        network: Any network. Of a configuration of transformers its `name_or_path` is used; of a local folder only the
            folder's own name.

    Returns:
        Text such as "LlamaForCausalLM owner/name 3fa92c01d7be50c1".

    Example:
        >>> model_identity(nn.Linear(2, 1).requires_grad_(False)).startswith("Linear ")
        True
    """
    return f"{_origin(network)} {digest(*_values(network))}"


def begin_identity(network: nn.Module) -> "Future[str]":
    """Begin to compute `model_identity` in a thread of its own, while the network answers."""
    executor = ThreadPoolExecutor(1, "model_identity")
    identity = executor.submit(model_identity, network)
    executor.shutdown(wait=False)
    return identity


def sampled_identity(network: nn.Module) -> str:
    """Name a network by at most 64 values of each parameter, as release 0.1 did: found at once, and not certain."""
    return f"{_origin(network)} {digest(*_samples_of_parameters(network))[:_SAMPLED_DIGITS]}"


def identity_like(network: nn.Module, known: str) -> str:
    """Name a network in the way in which a known identity is written, so that the two can be compared."""
    return sampled_identity(network) if is_sampled(known) else model_identity(network)


def is_sampled(identity: str) -> bool:
    """Return True for an identity of `sampled_identity`, whose fingerprint is shorter."""
    return bool(re.search(rf"(?:^| )[0-9a-f]{{{_SAMPLED_DIGITS}}}$", identity))


def _origin(network: nn.Module) -> str:
    network = unwrap(network)
    source = str(getattr(getattr(network, "config", None), "name_or_path", ""))
    if source.startswith((".", "/", "~")) or source.count("/") != 1:
        source = Path(source).name
    return " ".join(filter(None, (type(network).__name__, source)))


def _values(network: nn.Module) -> Iterator[bytes]:
    network = unwrap(network)
    tensors = dict(_tensors(network))
    for name, own in own_names(network, tensors).items():
        value = tensors[name]
        yield f"{own} {tuple(value.shape)} {value.dtype};".encode()
        for part in value.detach().reshape(-1).split(_PART):
            yield _bytes(part)


def _tensors(network: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield what a state dict holds; to make one, torch would take weights apart that are held whole on a rank."""
    for path, module in network.named_modules(remove_duplicate=False):
        kept = dict(module.named_parameters(recurse=False, remove_duplicate=False))
        kept |= dict(module.named_buffers(recurse=False, remove_duplicate=False))
        for name, value in kept.items():
            if name not in module._non_persistent_buffers_set:
                yield f"{path}.{name}".lstrip("."), value


def _samples_of_parameters(network: nn.Module) -> Iterator[bytes]:
    network = unwrap(network)
    parameters = dict(network.named_parameters())
    for name, own in own_names(network, parameters).items():
        parameter = parameters[name]
        yield f"{own} {tuple(parameter.shape)} {parameter.dtype};".encode()
        # An odd stride visits all columns of a matrix whose width is a power of two.
        stride = math.ceil(parameter.numel() / _SAMPLED_VALUES) | 1
        yield _bytes(parameter.detach().reshape(-1)[::stride])


def _bytes(values: Tensor) -> bytes:
    # What NumPy has seen cannot be freed any more, which weights in pieces are after each use.
    return values.cpu().clone(memory_format=torch.contiguous_format).view(torch.uint8).numpy().tobytes()


def differences(found: dict[str, object], expected: dict[str, object]) -> list[str]:
    """Return one sentence for each value that differs from the expected one."""
    pairs = ((name, found.get(name), value) for name, value in expected.items())
    return [f"Found `{name} = {old!r}`, expected {value!r}." for name, old, value in pairs if old != value]
