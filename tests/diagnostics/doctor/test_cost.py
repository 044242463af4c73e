import math

import pytest
import torch
from torch import nn

from lightning_abkd.diagnostics.doctor._cost import (
    Kept,
    Memory,
    bytes_as_text,
    bytes_of,
    bytes_of_device,
    bytes_of_logits,
    bytes_of_optimizer,
    duration,
    kept_tensors,
    memory,
    out_of_memory,
    seconds_as_text,
)

CPU = torch.device("cpu")


def test_kept_tensors_are_activations_without_weights():
    network = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
    found = Kept()
    inputs = torch.zeros(16, 4)
    with kept_tensors(found):
        output = network(inputs)
    output.sum().backward()
    # Inputs (16, 4) and the output of tanh (16, 8) in float32.
    assert found.total(network) == 16 * 4 * 4 + 16 * 8 * 4


def test_bytes_are_those_of_weights_gradients_and_optimizer():
    network = nn.Linear(3, 1)
    assert (bytes_of(network), bytes_of(network.requires_grad_(False), trained=True), bytes_of(None)) == (16, 0, 0)
    optimizer = torch.optim.SGD(nn.Linear(3, 1).parameters(), 0.1, momentum=0.9)
    for parameter in optimizer.param_groups[0]["params"]:
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    assert bytes_of_optimizer(optimizer) == 16
    assert bytes_of_logits(10, 100, has_teacher=True) == 12_000


def test_a_step_that_does_not_fit_is_red():
    small = Memory(1, 2, 3, 4, 5, 0)
    assert memory(small, CPU).text.startswith("15 B of ")
    assert "logits" not in memory(small, CPU).text
    large = Memory(bytes_of_device(CPU), 1, 0, 0, 0, 0)
    assert memory(large, CPU).text.startswith("Too little memory: a step needs about")
    assert out_of_memory(MemoryError("no room. more")).text == "Too little memory: no room."


@pytest.mark.parametrize(("size", "text"), [(999, "999 B"), (2_340_000, "2.3 MB"), (1e15, "1000.0 TB")])
def test_bytes_have_a_unit(size, text):
    assert bytes_as_text(size) == text


def test_time_has_two_units():
    assert [seconds_as_text(value) for value in (0.2, 61, 7260)] == ["1 s", "1 min 1 s", "2 h 1 min"]


def test_duration_follows_from_batches():
    found = duration(0.5, 8, 100, "2 epochs take")
    assert found.text == "16 samples per second (500 ms a batch); 2 epochs take about 50 s, without validation"
    assert duration(0.5, 8, math.inf, "").text.endswith("the length of the training is unknown")
    assert duration(None, 8, 1, "").state == "not checked"
