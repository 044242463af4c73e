"""A tiny task and a trainer that leaves nothing behind."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from lightning_abkd.losses import AlphaBetaDivergence
from lightning_abkd.modules import DistillationModule

CLASSES, INPUTS = 7, 5


def network(seed: int = 0) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(INPUTS, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, CLASSES))


def dataset(size: int = 32, seed: int = 0) -> TensorDataset:
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(size, INPUTS, generator=generator)
    return TensorDataset(inputs, torch.randint(0, CLASSES, (size,), generator=generator))


def loader(size: int = 32, batch_size: int = 8, seed: int = 0) -> DataLoader[tuple[Tensor, ...]]:
    return DataLoader(dataset(size, seed), batch_size)


def sgd(parameters: Iterable[nn.Parameter], lr: float = 0.1) -> torch.optim.SGD:
    return torch.optim.SGD(parameters, lr=lr, momentum=0.9)


def module(**options: Any) -> DistillationModule:
    options = {
        "teacher": network(1),
        "student": network(2),
        "divergence": AlphaBetaDivergence(0.8, 0.3, temperature=2.0),
        "optimizer": sgd,
        **options,
    }
    return DistillationModule(**options)


def plain_module(**options: Any) -> DistillationModule:
    """A module whose divergence is at its defaults, so that schedules may set all of its numbers."""
    return module(divergence=AlphaBetaDivergence(), **options)


def trainer(folder: Path, **options: Any) -> Trainer:
    return Trainer(
        **{
            "default_root_dir": folder,
            "accelerator": "cpu",
            "max_epochs": 2,
            "logger": False,
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            **options,
        }
    )
