from types import SimpleNamespace

import torch

from lightning_abkd.language._own_responses import with_student_data
from lightning_abkd.language.generation._sampling import SpecialIds
from lightning_abkd.modules import OnPolicy, Sampling
from tests.language._text import network
from tests.language._token_batches import BATCH

POLICY = {"fraction": 1.0, "sampling": Sampling(max_new_tokens=8)}


def drawn(rank=0, seed=0):
    module = SimpleNamespace(global_step=3, global_rank=rank, trainer=SimpleNamespace(estimated_stepping_batches=10))
    module.student = network(0)
    return with_student_data(module, OnPolicy(**POLICY, seed=seed), dict(BATCH), lambda: SpecialIds(None, 0))


def test_responses_are_the_students_and_drawn_anew_by_seed():
    assert torch.equal(drawn()["input_ids"], drawn()["input_ids"])
    assert (drawn()["labels"] != -100).sum() == 16
    assert not torch.equal(drawn()["input_ids"], drawn(seed=1)["input_ids"])


def test_each_rank_draws_its_own():
    assert not torch.equal(drawn(rank=0)["input_ids"], drawn(rank=1)["input_ids"])
