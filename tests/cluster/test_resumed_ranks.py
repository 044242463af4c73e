"""Each rank goes on with its own draws and its own buffer of the student's responses."""

import logging
import random

import numpy as np
import torch
from lightning.pytorch import Callback
from torch.utils.data import DataLoader

from lightning_abkd.models import causal_lm_from_config
from lightning_abkd.modules import AdaptiveOffPolicy, Sampling
from tests._processes import on_ranks
from tests.cluster._runs import GPT2, Tokens, language_module, trainer
from tests.cluster.test_checkpoints import STRATEGIES, Own

KINDS = ("ddp", "sharded")
DROPPING = GPT2 | {"embd_pdrop": 0.3, "eos_token_id": 0, "bos_token_id": 0, "pad_token_id": 0}


class Log(Callback):
    """The losses, the buffers and what each generator would draw next; saves the second epoch."""

    def __init__(self, path=None):
        self.path = path
        self.seen = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.seen.append((outputs["loss"].item(), responses(pl_module), draws()))

    def on_train_epoch_end(self, trainer, pl_module):
        if self.path is not None and trainer.current_epoch == 1:
            trainer.save_checkpoint(self.path)


def responses(module):
    return [ids.tolist() for ids, _ in module.student_data.buffer]


def draws():
    return (torch.rand(1).item(), random.random(), np.random.rand())  # noqa: NPY002


def run(strategy, seed, log, checkpoint=None):
    torch.manual_seed(seed)
    student = causal_lm_from_config("gpt2", DROPPING)
    policy = AdaptiveOffPolicy(1.0, capacity=100, sampling=Sampling(max_new_tokens=3))
    module = language_module(torch.float32, lambda: student, student_data=policy)
    fitted = trainer(strategy, max_epochs=3, max_steps=-1, limit_val_batches=0, callbacks=[log])
    seed += 10 * fitted.global_rank
    for start in (torch.manual_seed, random.seed, np.random.seed):
        start(seed)
    fitted.fit(module, DataLoader(Tokens(), batch_sampler=Own()), ckpt_path=checkpoint)


def exact(folder, names):
    found = {}
    for name in names:
        run(STRATEGIES[name](), 0, whole := Log(folder / f"{name}.ckpt"))
        run(STRATEGIES[name](), 5, resumed := Log(), folder / f"{name}.ckpt")
        found[name] = (whole.seen, resumed.seen)
    return found


class Said(logging.Handler):
    def __init__(self):
        super().__init__()
        self.lines = []

    def emit(self, record):
        self.lines.append(record.getMessage())


def on_one(folder, names):
    logging.getLogger("lightning.pytorch").addHandler(said := Said())
    found = {}
    for name in names:
        run("auto", 5, log := Log(), folder / f"{name}.ckpt")
        found[name] = (log.seen[0][1], [line for line in said.lines if "checkpoint is of 2 processes" in line])
        said.lines.clear()
    return found


def test_ranks_go_on_exactly_and_one_process_takes_what_all_had(tmp_path):
    ranks = on_ranks(exact, 2, tmp_path, KINDS)
    for name in KINDS:
        for whole, resumed in (rank[name] for rank in ranks):
            assert resumed == whole[2:], name
        before = [rank[name][0][1][1] for rank in ranks]
        assert before[0] != before[1]
    for name, (buffer, said) in on_ranks(on_one, 1, tmp_path, KINDS)[0].items():
        had = [response for rank in ranks for response in rank[name][0][1][1]]
        assert sorted(buffer[: len(had)]) == sorted(had), name
        assert len(said) == 1
