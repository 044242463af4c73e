"""A step whose numbers are not finite on one rank: all ranks skip it, or all of them stop with one sentence."""

import os
import warnings
from pathlib import Path

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.strategies import ModelParallelStrategy
from torch.distributed.fsdp import fully_shard
from torch.utils.data import DataLoader

from lightning_abkd.callbacks import NonFiniteGuard
from lightning_abkd.modules import DistillationModule
from tests._processes import on_ranks
from tests.training._broken import broken_loader
from tests.training._training import module


class Sharded(DistillationModule):
    """A module whose student lies on all ranks in pieces."""

    def configure_model(self) -> None:
        for part in self.student.children():
            if any(True for _ in part.parameters(recurse=False)):
                fully_shard(part, mesh=self.device_mesh["data_parallel"])


def options(kind):
    net = module()
    student = torch.nn.Sequential(net.student[0], net.student[3])
    shared = {"teacher": net.teacher, "student": student, "divergence": net.divergence, "optimizer": adam}
    if kind == "ddp":
        return DistillationModule(**shared), "ddp"
    return Sharded(**shared), ModelParallelStrategy(data_parallel_size=2, tensor_parallel_size=1)


def adam(parameters):
    return torch.optim.AdamW(parameters, lr=0.01)


def fitted(folder, kind, data, guard):
    net, strategy = options(kind)
    run = Trainer(
        default_root_dir=folder,
        accelerator="cpu",
        devices=2,
        strategy=strategy,
        max_epochs=1,
        use_distributed_sampler=False,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[guard],
    )
    run.fit(net, data)
    return net, run


def weights(net: LightningModule):
    values = [p.detach() for p in net.student.parameters()]
    return torch.cat([(x.full_tensor() if hasattr(x, "full_tensor") else x).flatten() for x in values])


def batches(bad, left_out=()):
    """The half of this rank in batches of 4; the second one of rank 1 may hold a bad input."""
    rank = int(os.environ["RANK"])
    inputs, labels = (x[16 * rank : 16 * rank + 16] for x in (*broken_loader(*bad, batch_size=32),)[0])
    return DataLoader([(inputs[i : i + 4], labels[i : i + 4]) for i in range(0, 16, 4) if i // 4 not in left_out], None)


def skips_and_stops(folder):
    warnings.simplefilter("ignore")
    found = {}
    for kind in ("ddp", "fsdp2"):
        guard = NonFiniteGuard("skip")
        skipping, run = fitted(folder / kind, kind, batches([21]), guard)
        fresh, _ = fitted(folder / kind, kind, batches([], left_out=[1]), NonFiniteGuard("skip"))
        with pytest.raises(FloatingPointError) as stopped:
            fitted(folder / kind, kind, batches([21]), NonFiniteGuard())
        taken = (guard.skipped, run.global_step)
        found[kind] = {"taken": taken, "weights": (weights(skipping), weights(fresh)), "said": str(stopped.value)}
    return found


def test_all_ranks_skip_the_same_step_or_stop_with_the_same_sentence(tmp_path):
    first, second = on_ranks(skips_and_stops, 2, Path(tmp_path))
    for kind in ("ddp", "fsdp2"):
        for found in (first[kind], second[kind]):
            assert found["taken"] == ([1], 4)
            torch.testing.assert_close(*found["weights"], rtol=0, atol=0)
        assert first[kind]["said"] == second[kind]["said"]
        place = "The inputs contain NaN at step 1 (epoch 0, batch 1, rank 1) in 1 of 4 samples of the batch: 1."
        assert place in first[kind]["said"]
        assert {path.name for path in (tmp_path / kind).glob("*.pt")} == {"non_finite_step1_rank1.pt"}
