"""The values of weights: what a network takes from a file without changing them in silence."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from lightning_abkd.training._pieces import local_part
from lightning_abkd.training._weight_files import Weights
from lightning_abkd.training._weight_names import Expected


def completed(weights: Weights, state: Mapping[str, object], expected: Expected, path: str | Path) -> Weights:
    """Return a value for every name of a network's state: of the file, or of another name of the same tensor.

    Counters that a file lacks keep the network's value.

    Raises:
        ValueError: If the file has two values for one tensor of the network.
    """
    by_tensor: dict[str, str] = {}
    for name in weights:
        if name not in expected.firsts:
            continue
        other = by_tensor.setdefault(expected.firsts[name], name)
        if not _same(weights[name], weights[other]):
            raise ValueError(
                f"Weights that the network ties should be equal in {path}. Found two values: `{other}` and `{name}`. "
                "Build the network without the tie (in transformers `tie_word_embeddings: false`)."
            )
    return {
        name: weights[by_tensor[first]] if first in by_tensor else state[name]
        for name, first in expected.firsts.items()
    }


def conversions(weights: Weights, state: Mapping[str, object], path: Path) -> str:
    """Return what is to be said about dtypes that change on the way into the network; "" if none does.

    Raises:
        ValueError: If a value of the file would be lost: a finite one turned to infinity, a fraction cut off.
    """
    counts: Counter[str] = Counter()
    for name, value in weights.items():
        target = state[name]
        if not isinstance(value, Tensor) or not isinstance(target, Tensor) or value.dtype == target.dtype:
            continue
        if not _survives(value, target.dtype):
            raise ValueError(
                f"Parameter `network` should be able to hold the values in {path}. Found `{name}` of {value.dtype}, "
                f"which loses values as {target.dtype}. Build the network in the file's dtype."
            )
        counts[f"{value.dtype} to {target.dtype}".replace("torch.", "")] += 1
    changed = ", ".join(f"{count} from {kinds}" for kinds, count in counts.items())
    return f"Converted weights of {path} to the network's dtype: {changed}." if changed else ""


def _survives(value: Tensor, dtype: torch.dtype) -> bool:
    """Return True if a conversion rounds at most."""
    if value.layout != torch.strided or value.is_quantized:
        return True
    if value.is_floating_point() and dtype.is_floating_point:
        # Only a narrower range can turn a finite value into an infinite or a smaller one.
        largest = torch.finfo(dtype).max
        return largest >= torch.finfo(value.dtype).max or _magnitude(value) <= largest
    if value.is_complex() and not dtype.is_complex:
        return False
    return value.dtype.is_complex == dtype.is_complex and bool(torch.equal(value.to(dtype).to(value.dtype), value))


def _magnitude(value: Tensor) -> float:
    """Return the largest absolute finite value, 0 if there is none."""
    # Eight bits know no arithmetic.
    wide = value.float() if value.element_size() == 1 else value
    finite = wide.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)
    return float(finite.abs().max()) if finite.numel() else 0.0


def _same(first: object, second: object) -> bool:
    """Return True if two values are equal bit by bit."""
    if first is second or not isinstance(first, Tensor) or not isinstance(second, Tensor):
        return first is second or first == second
    if first.dtype != second.dtype or first.shape != second.shape:
        return False
    if first.layout != torch.strided:
        return bool(torch.equal(first.to_dense(), second.to_dense()))
    bits = (local_part(x).contiguous().reshape(-1).view(torch.uint8) for x in (first, second))
    return bool(torch.equal(next(bits), next(bits)))
