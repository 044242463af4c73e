"""A checkpoint of any strategy goes on under any other, and none has a byte of the teacher."""

import os
from copy import deepcopy
from functools import partial

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.strategies import ModelParallelStrategy
from torch.utils.data import DataLoader

from lightning_abkd.models import load_weights
from lightning_abkd.modules import LanguageDistillationModule
from tests._processes import on_ranks
from tests.cluster._runs import ROWS, Tokens, language_module, schedule, trainer, whole
from tests.field._networks import equal

STRATEGIES = {
    "ddp": lambda: "ddp",
    "full": lambda: ModelParallelStrategy(save_distributed_checkpoint=False),
    "sharded": lambda: ModelParallelStrategy(save_distributed_checkpoint=True),
}


class Own:
    """One batch an epoch: this rank's part of the rows, which are as many on one rank."""

    batch_size = 1

    def __iter__(self):
        ranks, rank = int(os.environ["WORLD_SIZE"]), int(os.environ["RANK"])
        yield range(rank * ROWS // ranks, (rank + 1) * ROWS // ranks)

    def __len__(self):
        return 1


class Save(Callback):
    """Saves the second of four epochs, and keeps α of each."""

    def __init__(self, path=None):
        self.path = path
        self.alphas = []

    def on_train_epoch_end(self, trainer, pl_module):
        self.alphas.append(float(pl_module.divergence.alpha))
        if self.path is not None and trainer.current_epoch == 1:
            trainer.save_checkpoint(self.path)


def fitted(strategy, save, checkpoint=None, **options):
    module = language_module(torch.float64, **options)
    module.optimize_by(type(module._optimizers)(partial(torch.optim.AdamW, lr=0.01), None, None, "val/loss"))
    limits = {"max_epochs": 4, "max_steps": -1, "limit_val_batches": 0, "callbacks": [save, schedule()]}
    run = trainer(strategy, **limits)
    run.fit(module, DataLoader(Tokens(), batch_sampler=Own()), ckpt_path=checkpoint)
    return module


def result(module, save):
    return {name: whole(parameter) for name, parameter in module.named_parameters()}, save.alphas


def saved(folder, names):
    torch.set_default_dtype(torch.float64)
    found = {}
    for name in names:
        save = Save(folder / f"{name}.ckpt")
        found[name] = result(fitted(STRATEGIES.get(name, lambda: "auto")(), save), save)
    return found


def resumed(folder, pairs):
    torch.set_default_dtype(torch.float64)
    found = {}
    for source, name in pairs:
        strategy = STRATEGIES.get(name, lambda: "auto")()
        found[source, name] = result(fitted(strategy, save := Save(), folder / f"{source}.ckpt"), save)
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("checkpoints")


@pytest.fixture(scope="module")
def uninterrupted(folder):
    found = on_ranks(saved, 2, folder, tuple(STRATEGIES))[0]
    return found | on_ranks(saved, 1, folder, ("alone",))[0]


def differences(found, expected):
    weights, alphas = expected
    return {
        key: (max(float((weights[name] - value).abs().max()) for name, value in own.items()), after == alphas[2:])
        for key, (own, after) in found.items()
    }


def test_every_strategy_goes_on_from_every_other(folder, uninterrupted):
    to_one = [(source, "alone") for source in STRATEGIES]
    to_two = [("alone", "ddp"), ("alone", "full"), ("ddp", "full"), ("full", "sharded")]
    to_two += [("sharded", "sharded"), ("sharded", "ddp")]
    found = on_ranks(resumed, 1, folder, to_one)[0] | on_ranks(resumed, 2, folder, to_two)[0]
    assert len(found) == 9
    errors = differences(found, uninterrupted["alone"])
    assert {key: value for key, value in errors.items() if not (value[0] < 1e-12 and value[1])} == {}


def bytes_of(path):
    files = [path] if path.is_file() else sorted(path.iterdir())
    return b"".join(file.read_bytes() for file in files)


def test_no_checkpoint_has_a_byte_of_the_teacher(folder, uninterrupted):
    teacher = language_module(torch.float64).teacher
    for name in uninterrupted:
        content = bytes_of(folder / f"{name}.ckpt")
        for weight in teacher.parameters():
            row = weight.detach().flatten()[:4]
            # Zeros and ones of biases and norms are no one's.
            assert len(row.unique()) == 1 or row.numpy().tobytes() not in content, name


def test_a_folder_of_shards_is_loaded_on_one_process(folder, uninterrupted):
    student = language_module(torch.float64).student
    file, shards = (
        LanguageDistillationModule.load_from_checkpoint(folder / f"{name}.ckpt", student=deepcopy(student))
        for name in ("full", "sharded")
    )
    assert equal(file, shards)
    assert float(file.divergence.alpha) == uninterrupted["alone"][1][1]
    assert equal(load_weights(student, folder / "sharded.ckpt"), shards.student)
