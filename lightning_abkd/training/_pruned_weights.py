"""Weights of networks that were saved while `torch.nn.utils.prune` held a mask over them."""

from collections.abc import Iterable, Mapping

from torch import Tensor

_WHOLE = "_orig"
_MASK = "_mask"


def with_masks_applied(weights: Mapping[str, object], names: Iterable[str]) -> dict[str, object]:
    """Return weights as `prune.remove` leaves them, for a network that is not pruned.

    Args:
        weights: Weights by name, perhaps with `weight_orig` and `weight_mask` in place of `weight`.
        names: Names of the network that takes them. If it has masks itself, nothing changes.

    Returns:
        The weights, with the product of both in place of each pair.

    Example:
        >>> import torch
        >>> saved = {"0.weight_orig": torch.ones(2), "0.weight_mask": torch.tensor([1.0, 0.0])}
        >>> with_masks_applied(saved, ["0.weight"])
        {'0.weight': tensor([1., 0.])}
    """
    applied = dict(weights)
    if any(name.endswith(_MASK) for name in names):
        return applied
    for name, mask in weights.items():
        stem = name.removesuffix(_MASK)
        whole = weights.get(f"{stem}{_WHOLE}")
        if name == stem or not isinstance(mask, Tensor) or not isinstance(whole, Tensor) or mask.shape != whole.shape:
            continue
        del applied[name], applied[f"{stem}{_WHOLE}"]
        applied[stem] = whole * mask
    return applied
