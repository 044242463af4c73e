"""Checks of features."""

from torch import Tensor


def check_features(features: Tensor, network: str, size: int) -> None:
    """Raise ValueError unless the features of a network have shape (B, size)."""
    if features.dim() != 2 or features.shape[1] != size:
        raise ValueError(
            f"Parameter `{network}_dim` should be the size of the {network}'s features, which are (B, D). "
            f"Found `{network}_dim = {size}` and features of shape {tuple(features.shape)}."
        )
