"""Evaluations on several ranks measure what one process does."""

import os

import pytest
import torch
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader, IterableDataset, Subset

from tests._processes import on_ranks
from tests.cluster._runs import Tokens, image_module, images, language_module, trainer


class OwnShares(IterableDataset):
    """Streams the rows that are left when the last rank, of several, gets none."""

    def __init__(self, rows):
        self.rows = rows

    def __iter__(self):
        ranks, rank = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("RANK", 0))
        yield from (self.rows[i] for i in range(len(self.rows)) if i % max(ranks - 1, 1) == rank)


class Sets(LightningDataModule):
    """Sets whose rows do not come out even, of fewer rows than ranks, and of none for the last rank."""

    def __init__(self, rows):
        super().__init__()
        self.rows = rows

    def train_dataloader(self):
        return DataLoader(Subset(self.rows, range(8)), 2)

    def val_dataloader(self):
        few = [Subset(self.rows, range(n)) for n in (11, 1)]
        return [*(DataLoader(rows, 2) for rows in few), DataLoader(OwnShares(few[0]), 2)]


def measured(strategies):
    torch.set_default_dtype(torch.float64)
    found = {}
    for strategy in strategies:
        for name, build, rows in (
            ("images", image_module, images(torch.float64)),
            ("hidden states", lambda dtype: language_module(dtype, fused_head=True), Tokens()),
        ):
            run = trainer(strategy, use_distributed_sampler=True, limit_train_batches=1, max_steps=1)
            module = build(torch.float64)
            module.lr = 1e-99
            run.fit(module, datamodule=Sets(rows))
            logged = {key: float(x) for key, x in run.callback_metrics.items() if key.startswith("val")}
            found[name, strategy] = logged
    return found


def test_metrics_are_those_of_one_process():
    found = on_ranks(measured, 3, ("ddp", "fsdp2"))
    alone = on_ranks(measured, 1, ("auto",))[0]
    for (name, strategy), logged in (pair for one in found for pair in one.items()):
        assert {"val/0/loss", "val/2/loss"} <= logged.keys()
        assert logged == pytest.approx(alone[name, "auto"], rel=1e-6, nan_ok=True), (name, strategy)
