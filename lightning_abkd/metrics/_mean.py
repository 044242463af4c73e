"""What all metrics share: a mean over counted positions, computed in blocks of rows."""

import functools
from collections.abc import Callable

import torch
from torch import Tensor
from torchmetrics import Metric

# 64 MiB of float32 a temporary: a batch of a language model has gigabytes of logits
_BLOCK = 2**24


class PositionMean(Metric):
    """Mean over the positions that count; a subclass gives one value per position to `_accumulate`.

    The states carry the name of the class, unless classes mean to share them: a `MetricCollection` shares one state
    between metrics whose states are equal after the first batch, which two of these would be by chance (a student that
    starts as its teacher).
    """

    is_differentiable = False
    full_state_update = False
    # Of what is measured at a position.
    _shape: tuple[int, ...] = ()

    def __init__(self, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self._total, self._count = f"{self._state_name()}_total", f"{self._state_name()}_count"
        self.add_state(self._total, default=torch.zeros(self._shape), dist_reduce_fx="sum")
        self.add_state(self._count, default=torch.tensor(0), dist_reduce_fx="sum")

    def _state_name(self) -> str:
        return type(self).__name__

    def _accumulate(self, values: Tensor, mask: Tensor | None) -> None:
        """Add values of shape (…), or (…, quantities), at the positions (…) where `mask` is True if one is given."""
        positions = values.shape[: values.dim() - len(self._shape)]
        mask = torch.ones(positions, dtype=torch.bool, device=values.device) if mask is None else mask.bool()
        if mask.shape != positions:
            raise ValueError(
                f"Parameter `mask` should have the shape of the positions, {tuple(positions)}. "
                f"Found `mask.shape = {tuple(mask.shape)}`. Give one value per position, without the class dimension."
            )
        # where, not a product: what is masked out may be NaN
        kept = mask.reshape((*positions, *(1 for _ in self._shape)))
        counted = torch.where(kept, values, torch.zeros_like(values)).reshape(-1, *self._shape).sum(0)
        total, count = getattr(self, self._total), getattr(self, self._count)
        setattr(self, self._total, total + counted.to(total.dtype))
        setattr(self, self._count, count + mask.sum())

    def compute(self) -> Tensor:
        """Return the mean over all counted positions, shape (); NaN while there is none."""
        total, count = getattr(self, self._total), getattr(self, self._count)
        return torch.as_tensor(total / count)


def rowwise(function: Callable[..., Tensor], *logits: Tensor, columns: tuple[float | Tensor, ...] = ()) -> Tensor:
    """Apply a function of rows to logits of shape (…, V) block by block and return its values, shape (…) or (…, k).

    Args:
        function: Takes as many tensors of shape (N, V) as `logits` and of shape (N, 1) as `columns`, returns (N,) or
            (N, k).
        *logits: Tensors of one shape (…, V), promoted to float32 where they are narrower.
        columns: Numbers, or tensors that broadcast against the leading shape (…).

    Raises:
        ValueError: If the shapes of the logits differ.
    """
    first = logits[0]
    for other in logits[1:]:
        if other.shape != first.shape:
            raise ValueError(
                "Parameter `teacher_logits` should have the shape of `student_logits`. "
                f"Found `student_logits.shape = {tuple(first.shape)}`, `teacher_logits.shape = {tuple(other.shape)}`. "
                "Cut a padded vocabulary to the common classes first."
            )
    dtype = functools.reduce(torch.promote_types, (x.dtype for x in logits), torch.float32)
    lead, classes = first.shape[:-1], first.shape[-1]
    tensors = [x.reshape(-1, classes) for x in logits]
    tensors += [_as_tensor(x, first).expand(lead).reshape(-1, 1) for x in columns]
    blocks = zip(*(x.split(max(1, _BLOCK // classes)) for x in tensors), strict=True)
    values = torch.cat([function(*(x.to(dtype) for x in block)) for block in blocks])
    return values.reshape((*lead, *values.shape[1:]))


def _as_tensor(x: float | Tensor, like: Tensor) -> Tensor:
    # full, because torch.tensor(x, device="cuda") waits for its copy; float64 keeps the digits of a number
    return x.to(like.device) if isinstance(x, Tensor) else torch.full((), x, dtype=torch.float64, device=like.device)
