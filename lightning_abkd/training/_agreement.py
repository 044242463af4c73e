"""Whether a network is the same on all ranks."""

import zlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from lightning_abkd.distributed import gather_objects, is_distributed

# Bytes that are copied to the CPU at a time.
_PIECE = 2**26


def check_same_on_ranks(network: nn.Module) -> None:
    """Raise ValueError on all ranks if weights or buffers of a network differ between them; compares checksums.

    Raises:
        ValueError: If they do; it names the first one that differs.
    """
    if not is_distributed():
        return
    found = gather_objects({name: _checksum(value) for name, value in _tensors(network)})
    for rank, sums in enumerate(found):
        if sums != found[0]:
            name = next(name for name in [*found[0], *sums] if sums.get(name) != found[0].get(name))
            raise ValueError(
                f"The teacher {type(network).__name__} should be the same on all ranks. Found that `{name}` of rank "
                f"{rank} differs from that of rank 0. Load its weights from a file that all ranks can read, or call "
                "`seed_everything` before it is built."
            )


def _tensors(network: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from network.named_parameters()
    yield from network.named_buffers()


def _checksum(tensor: Tensor) -> tuple[str, tuple[int, ...], int]:
    """Return dtype, shape and the CRC-32 of the bytes."""
    sum_ = 0
    for piece in tensor.detach().contiguous().reshape(-1).view(torch.uint8).split(_PIECE) if tensor.numel() else ():
        sum_ = zlib.crc32(piece.cpu().numpy(), sum_)
    return str(tensor.dtype), tuple(tensor.shape), sum_
