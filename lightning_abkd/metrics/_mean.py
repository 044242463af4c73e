"""What all metrics share: a mean over counted positions, computed in blocks of rows."""

import functools
from collections.abc import Callable

import torch
from torch import Tensor
from torchmetrics import Metric

from lightning_abkd._utils import check_same_shape, row_slices
from lightning_abkd.distributed import RowBlocks, whole

# 64 MiB of float32 per temporary tensor: one batch of a language model has gigabytes of logits.
_BLOCK_ELEMENTS = 2**24


class PositionMean(Metric):
    r"""Base class of metrics that are the mean of one value per counted position.

    .. math::

        \bar{x} = \frac{\sum_n m_n x_n}{\sum_n m_n}

    where:

    - x -> `values` of `accumulate`: one number per position n, of all batches and all processes.
    - m -> `mask` of `accumulate`: 1 where a position counts and 0 elsewhere.

    A subclass defines `update`, with named signals as parameters, and hands one value per position to `accumulate`. If
    it measures several quantities at a position, it sets `value_shape` and chooses from them in `compute`.

    Args:
        **kwargs: Options of `torchmetrics.Metric`.

    Example:
        >>> import torch
        >>> class LogitNorm(PositionMean):
        ...     def update(self, student_logits: torch.Tensor, mask: torch.Tensor | None = None) -> None:
        ...         self.accumulate(student_logits.norm(dim=-1), mask)
        >>> norm = LogitNorm()
        >>> norm.update(torch.tensor([[3.0, 4.0], [0.0, 1.0]]))
        >>> norm.compute()
        tensor(3.)
    """

    is_differentiable = False
    full_state_update = False
    # Shape of what is measured at one position.
    value_shape: tuple[int, ...] = ()

    def __init__(self, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self._total = f"{self._state_name()}_total"
        self._count = f"{self._state_name()}_count"
        self.add_state(self._total, default=torch.zeros(self.value_shape), dist_reduce_fx="sum")
        self.add_state(self._count, default=torch.tensor(0), dist_reduce_fx="sum")

    def _state_name(self) -> str:
        # State names include the class, because MetricCollection merges metrics whose states are equal after the first
        # batch. Two of ours may be equal by chance, such as both entropies of a student that starts as its teacher.
        return type(self).__name__

    def accumulate(self, values: Tensor, mask: Tensor | None = None) -> None:
        """Add the values of a batch.

        Args:
            values: Shape (…) of the positions, followed by `value_shape`.
            mask: Shape (…), True where a position counts; all count by default. Values elsewhere may be NaN.

        Raises:
            ValueError: If the mask does not have the shape of the positions.
        """
        positions = values.shape[: values.dim() - len(self.value_shape)]
        mask = torch.ones(positions, dtype=torch.bool, device=values.device) if mask is None else whole(mask).bool()
        if mask.shape != positions:
            raise ValueError(
                f"Parameter `mask` should have the shape of the positions, {tuple(positions)}. "
                f"Found `mask.shape = {tuple(mask.shape)}`. Give one value per position, without the class dimension."
            )
        # where, not a product: what is masked out may be NaN
        kept = mask.reshape((*positions, *(1 for _ in self.value_shape)))
        counted = torch.where(kept, values, torch.zeros_like(values)).reshape(-1, *self.value_shape).sum(0)
        total: Tensor = getattr(self, self._total)
        setattr(self, self._total, total + counted.to(total.dtype))
        setattr(self, self._count, getattr(self, self._count) + mask.sum())

    def compute(self) -> Tensor:
        """Return the mean over all counted positions, of shape `value_shape`; NaN while there is none."""
        return torch.as_tensor(getattr(self, self._total) / getattr(self, self._count))


def rowwise(function: Callable[..., Tensor], *logits: Tensor, columns: tuple[float | Tensor, ...] = ()) -> Tensor:
    """Apply a function of rows to logits of shape (…, V) block by block and return its values, shape (…) or (…, k).

    Args:
        function: Takes one tensor of shape (N, V) for each of `logits` and one of shape (N, 1) for each of `columns`.
            Returns (N,) or (N, k).
        *logits: Tensors of one shape (…, V), student first, promoted to float32 where they are narrower. Classes that
            lie on several processes (DTensors) are gathered, a block of rows at a time.
        columns: Numbers, or tensors that broadcast against the leading shape (…).

    Raises:
        ValueError: If the shapes of the logits differ.
    """
    first = logits[0]
    for other in logits[1:]:
        check_same_shape(first, other, advice="Cut a padded vocabulary to the common classes first.")
    dtype = functools.reduce(torch.promote_types, (x.dtype for x in logits), torch.float32)
    lead = first.shape[:-1]
    tensors = [RowBlocks(x) for x in (*logits, *(_as_tensor(x, first).expand(lead).unsqueeze(-1) for x in columns))]
    # An empty batch is one empty block.
    blocks = list(row_slices(lead.numel(), first.shape[-1], _BLOCK_ELEMENTS)) or [slice(0)]
    values = torch.cat([function(*(x.block(block).to(dtype) for x in tensors)) for block in blocks])
    return values.reshape((*lead, *values.shape[1:]))


def _as_tensor(x: float | Tensor, like: Tensor) -> Tensor:
    # full, because torch.tensor(x, device="cuda") waits for its copy; float64 keeps the digits of a number
    if isinstance(x, Tensor):
        return whole(x).to(like.device)
    return torch.full((), x, dtype=torch.float64, device=like.device)
