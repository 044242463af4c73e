"""The correlation of two tensors along a dimension."""

from torch import Tensor


def pearson_correlation(first: Tensor, second: Tensor, dim: int = -1, mean: float | None = None) -> Tensor:
    r"""Compute Pearson's correlation along a dimension.

    .. math::

        \rho(x, y) = \frac{\sum_i (x_i - \bar{x}) (y_i - \bar{y})}
            {\| x - \bar{x} \| \, \| y - \bar{y} \| + 10^{-8}}

    where:

    - x, y -> `first`, `second`, along `dim`. The small constant is that of DIST (Huang et al. 2022, arXiv 2205.10536);
      it gives 0 where x or y is constant.
    - :math:`\bar{x}, \bar{y}` -> their means, or `mean` for both.

    Args:
        first: Any floating dtype.
        second: Same shape.
        dim: Dimension along which to correlate.
        mean: Mean of both where it is known exactly, such as 1 / C for probabilities of C classes; None computes it.

    Returns:
        Correlation in [-1, 1], with the shape of the inputs without `dim`.

    Example:
        >>> import torch
        >>> round(pearson_correlation(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([4.0, 6.0, 8.0])).item(), 4)
        1.0
    """
    if mean is None:
        first = first - first.mean(dim, keepdim=True)
        second = second - second.mean(dim, keepdim=True)
    else:
        first = first - mean
        second = second - mean
    correlation: Tensor = (first * second).sum(dim) / (first.norm(dim=dim) * second.norm(dim=dim) + 1e-8)
    return correlation
