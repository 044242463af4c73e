import logging
import random

import pytest
import torch

from lightning_abkd.training._rank_states import (
    restore_generators_of_rank,
    states_of_ranks,
    take_states_of_ranks,
)
from tests.training._training import loader, module, trainer


class Own(torch.nn.Module):
    """A module with a number that each rank has of its own."""

    def __init__(self, value=0):
        super().__init__()
        self.value = value

    def forward(self, inputs):
        return inputs

    def get_extra_state(self):
        return {"value": self.value}

    def set_extra_state(self, state):
        self.value = state["value"]

    def state_of_rank(self, states, rank, ranks):
        return {"value": sum(state["value"] for state in states)}


@pytest.fixture
def fitted(tmp_path):
    net = module(student=torch.nn.Sequential(torch.nn.Linear(5, 7), Own(3)))
    trainer(tmp_path, max_steps=1).fit(net, loader())
    return net


def test_one_process_has_one_state_and_its_modules_in_the_state_dict(fitted):
    (state,) = states_of_ranks(fitted, fitted.trainer)
    drawn = random.random()
    restore_generators_of_rank([state], fitted.trainer)
    assert random.random() == drawn
    assert state.keys() == {"generators"}


def test_one_process_goes_on_from_two(fitted, caplog):
    states = [{"modules": {"student.1": {"value": value}}} for value in (4, 5)]
    weights = {}
    with caplog.at_level(logging.INFO, "lightning.pytorch"):
        take_states_of_ranks(states, fitted, fitted.trainer, weights)
    assert fitted.student[1].value == 9
    assert weights == {"student.1._extra_state": {"value": 9}}
    assert "The checkpoint is of 2 processes, and this training has 1 process." in caplog.text


def test_one_process_takes_its_own_state_in_silence(fitted, caplog):
    with caplog.at_level(logging.INFO, "lightning.pytorch"):
        take_states_of_ranks([{"generators": {}}], fitted, fitted.trainer, {"student.1._extra_state": {"value": 7}})
    assert fitted.student[1].value == 3
    assert "processes" not in caplog.text
