"""Batches and networks whose numbers go wrong."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from tests.training._training import CLASSES, INPUTS, dataset


def broken_loader(*places: int, batch_size: int = 8, value: float = torch.nan) -> DataLoader[tuple[Tensor, ...]]:
    """The loader of other tests with a bad input in some samples."""
    inputs, labels = dataset().tensors
    inputs = inputs.clone()
    inputs[list(places), 2] = value
    return DataLoader(TensorDataset(inputs, labels), batch_size)


def without(*batches: int, batch_size: int = 8) -> DataLoader[tuple[Tensor, ...]]:
    """The same loader without some of its batches."""
    kept = [i for i in range(32) if i // batch_size not in batches]
    return DataLoader(TensorDataset(*(x[kept] for x in dataset().tensors)), batch_size)


class _Scaled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, factor: float) -> Tensor:
        ctx.factor = factor
        return x.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient * ctx.factor, None


class BadGradient(nn.Module):
    """A linear layer whose gradient is multiplied by a number from one of its training passes on."""

    def __init__(self, factor: float = torch.nan, first: int = 0, last: int = 1000) -> None:
        super().__init__()
        self.layer = nn.Linear(INPUTS, CLASSES)
        self.settings = (factor, first, last)
        self.passes = -1

    def forward(self, x: Tensor) -> Tensor:
        factor, first, last = self.settings
        self.passes += self.training
        scaled: Tensor = _Scaled.apply(self.layer(x), factor if first <= self.passes <= last else 1.0)
        return scaled
