import random

import numpy as np
import pytest
import torch

from lightning_abkd.training._generators import (
    generator_states,
    restore_generators,
    seed_generators,
    seed_of,
    seeded,
)


def drawn():
    """One draw of each generator, with the second halves of pairs of normal numbers."""
    numpy = (np.random.rand(), np.random.randn())  # noqa: NPY002
    return (torch.rand(1).item(), random.random(), random.gauss(0, 1), *numpy)


@pytest.mark.parametrize("before", range(3))
def test_every_generator_goes_on_where_it_was(before):
    for _ in range(before):
        drawn()
    states = generator_states(torch.device("cpu"))
    first = drawn()
    drawn()
    restore_generators(states)
    assert drawn() == first


def test_states_are_read_without_running_code(tmp_path):
    torch.save(generator_states(), tmp_path / "states.pt")
    first = drawn()
    restore_generators(torch.load(tmp_path / "states.pt", weights_only=True))
    assert drawn() == first


def test_states_of_an_older_checkpoint_leave_the_other_generators_alone():
    states = generator_states()
    expected = random.getstate()
    restore_generators({"torch": states["torch"]})
    assert random.getstate() == expected


def test_a_rank_without_states_has_a_stream_of_its_own():
    states = generator_states()
    seeds = {seed_of(states, rank) for rank in range(4)}
    assert len(seeds) == 4
    seed_generators(min(seeds))
    first = drawn()
    seed_generators(min(seeds))
    assert drawn() == first


def test_a_seed_for_a_while_leaves_the_streams_alone():
    states = generator_states()
    expected = drawn()
    restore_generators(states)
    inside = []
    for _ in range(2):
        with seeded(2**61):
            inside.append(drawn())
    assert inside[0] == inside[1] != expected
    assert drawn() == expected
