import pytest

from lightning_abkd.training._positions import Positions, counted_by, total_of, warmup_of


@pytest.mark.parametrize(
    ("interval", "expected"), [(None, ("step", 100)), ("step", ("step", 100)), ("epoch", ("epoch", 5))]
)
def test_the_length_is_that_of_the_interval_steps_by_default(interval, expected):
    positions = Positions(interval, {"step": 100, "epoch": 5}.__getitem__)
    with counted_by(positions):
        total = total_of(None)
    assert (positions.interval, total) == expected


def test_a_total_that_is_given_needs_no_length():
    positions = Positions(None, {}.__getitem__)
    with counted_by(positions):
        assert (total_of(7), positions.interval) == (7, "step")
    assert total_of(7) == 7


def test_without_a_module_the_total_is_asked_for():
    with pytest.raises(ValueError, match="`total_steps` should be given where no module builds the schedule"):
        total_of(None)


@pytest.mark.parametrize(("steps", "expected"), [(0, 0), (3, 3), (0.25, 10)])
def test_a_warm_up_is_a_number_or_a_share_of_steps(steps, expected):
    assert warmup_of(steps, 40) == expected


def test_other_warm_ups_are_errors():
    with pytest.raises(ValueError, match="should be whole or a share below 1. Found `warmup_steps = 1.5`"):
        warmup_of(1.5, 40)
    with pytest.raises(ValueError, match="`warmup_steps` should be at least 0. Found `warmup_steps = -1`"):
        warmup_of(-1, 40)
