import math

import pytest
from jsonargparse import ArgumentParser

from lightning_abkd import schedules
from lightning_abkd.schedules import (
    Constant,
    Cosine,
    Exponential,
    Linear,
    Piecewise,
    Schedule,
    SequentialSchedule,
)


@pytest.mark.parametrize("ramp", [Linear, Cosine, Exponential])
def test_ramps_meet_both_ends_exactly_and_stay(ramp):
    schedule = ramp(0.1, 0.7, length=7)
    assert [schedule(i, 100) for i in (0, 6, 7, 99)] == [0.1, 0.7, 0.7, 0.7]


@pytest.mark.parametrize("ramp", [Linear, Cosine, Exponential])
def test_ramps_without_length_take_the_whole_training(ramp):
    schedule = ramp(0.7, 0.1)
    assert schedule(0, 50) == 0.7
    assert schedule(49, 50) == 0.1
    assert 0.1 < schedule(48, 50) < schedule(1, 50) < 0.7


@pytest.mark.parametrize("ramp", [Linear, Cosine])
def test_symmetric_ramps_are_half_way_in_the_middle(ramp):
    assert ramp(0.0, 1.0, length=101)(50, 1000) == pytest.approx(0.5)


def test_exponential_is_geometric_also_for_negative_values():
    assert Exponential(-1.0, -4.0, length=3)(1, 9) == pytest.approx(-2.0)


def test_cosine_is_the_textbook_wave():
    # Half of 1 - cos(π/5) at a fifth of the way.
    assert Cosine(0.0, 1.0, length=6)(1, 9) == pytest.approx(0.5 * (1 - math.cos(math.pi / 5)))


def test_training_of_one_step_gives_the_end():
    assert Linear(0.0, 1.0)(0, 1) == 1.0


def test_piecewise_changes_at_its_milestones():
    schedule = Piecewise([1.0, 0.5, 0.1], [2, 5])
    assert [schedule(i, 9) for i in range(7)] == [1.0, 1.0, 0.5, 0.5, 0.5, 0.1, 0.1]


def test_sequence_starts_each_schedule_at_its_own_zero():
    schedule = SequentialSchedule([Linear(0.0, 1.0), Constant(1.0), Linear(1.0, 0.0)], [3, 2])
    assert [schedule(i, 8) for i in range(8)] == [0.0, 0.5, 1.0, 1.0, 1.0, 1.0, 0.5, 0.0]


def test_sequences_nest():
    inner = SequentialSchedule([Constant(1.0), Constant(2.0)], [1])
    assert [SequentialSchedule([inner, Constant(3.0)], [2])(i, 5) for i in range(3)] == [1.0, 2.0, 3.0]


def test_schedules_compare_and_print_by_their_numbers():
    assert Linear(0.0, 1.0) == Linear(0.0, 1.0) != Linear(0.0, 2.0)
    assert repr(Cosine(0.0, 1.0)) == "Cosine(start=0.0, end=1.0, length=None)"


@pytest.mark.parametrize("length", [0, -3])
def test_length_must_be_positive(length):
    with pytest.raises(ValueError, match=rf"`length` should be at least 1. Found `length = {length}`. None takes"):
        Linear(0.0, 1.0, length=length)
    with pytest.raises(ValueError, match=rf"`lengths\[0\]` should be at least 1. Found `lengths\[0\] = {length}`"):
        SequentialSchedule([Constant(0.0), Constant(1.0)], [length])


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Constant(math.nan), "Parameter `value` should be finite"),
        (lambda: Linear(0.0, math.inf), "Parameter `end` should be finite"),
        (lambda: Exponential(0.0, 1.0), "both positive or both negative.*Use Linear or Cosine"),
        (lambda: Piecewise([1.0], [2]), "one value more than `milestones`. Found 1 values and 1 milestones"),
        (lambda: Piecewise([1.0, 2.0, 3.0], [5, 2]), r"should ascend from above 0. Found `milestones = \[5, 2\]`"),
        (lambda: Piecewise([1.0, 2.0], [0]), "should ascend from above 0"),
        (lambda: SequentialSchedule([], []), "one number fewer than `schedules`"),
    ],
)
def test_bad_parameters_are_named(build, message):
    with pytest.raises(ValueError, match=message):
        build()


RENAMED = r"lightning_abkd.schedules.Sequence is now lightning_abkd.schedules.SequentialSchedule"


def test_old_name_warns():
    with pytest.warns(DeprecationWarning, match=RENAMED):
        assert schedules.Sequence is SequentialSchedule


def test_old_class_path_warns_and_builds_the_schedule():
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--schedule", type=Schedule)
    parts = [{"class_path": "lightning_abkd.schedules.Constant", "init_args": {"value": v}} for v in (1.0, 2.0)]
    old = {"class_path": "lightning_abkd.schedules.Sequence", "init_args": {"schedules": parts, "lengths": [3]}}
    with pytest.warns(DeprecationWarning, match=RENAMED):
        built = parser.instantiate(parser.parse_object({"schedule": old}))
    assert built.schedule == SequentialSchedule([Constant(1.0), Constant(2.0)], [3])
