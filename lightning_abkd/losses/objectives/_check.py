"""Checks of the divergence inside an objective."""

from lightning_abkd.losses._base import Reduction
from lightning_abkd.losses._divergence import Divergence


def check_divergence_reduction(divergence: Divergence, reduction: Reduction, advice: str = "") -> None:
    """Raise ValueError unless the divergence has the reduction."""
    if divergence.reduction != reduction:
        raise ValueError(
            f"Parameter `divergence` should have the reduction {reduction!r}. "
            f"Found {divergence.reduction!r}.{' ' * bool(advice)}{advice}"
        )
