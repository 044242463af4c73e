import math

import pytest
import torch

from lightning_abkd._utils import (
    check_at_least,
    check_choice,
    check_finite,
    check_interval,
    check_positive,
    check_same_shape,
)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_infinite_number_is_named(value):
    with pytest.raises(ValueError, match=rf"Parameter `beta` should be finite. Found `beta = {value}`"):
        check_finite("beta", value)
    check_finite("beta", -3.0)


@pytest.mark.parametrize("value", [0.0, -1.0, math.inf, math.nan])
def test_number_that_is_not_positive_is_named(value):
    with pytest.raises(ValueError, match=rf"should be finite and greater than 0. Found `t = {value}`. Lower it."):
        check_positive("t", value, "Lower it.")
    check_positive("t", 1e-9)


def test_number_below_the_minimum_is_named():
    with pytest.raises(ValueError, match=r"Parameter `k` should be at least 1. Found `k = 0`."):
        check_at_least("k", 0, 1)
    with pytest.raises(ValueError, match=r"should be finite and at least 0. Found `x = nan`."):
        check_at_least("x", math.nan, 0)
    check_at_least("k", 1, 1)


@pytest.mark.parametrize(("interval", "value"), [("[0, 1)", 1.0), ("(0, 1]", 0.0), ("[0, 1]", math.nan)])
def test_number_outside_the_interval_is_named(interval, value):
    with pytest.raises(ValueError, match="should lie in "):
        check_interval("share", value, interval)
    check_interval("share", 0.5, interval)


def test_closed_ends_belong_to_the_interval():
    check_interval("share", 0.0, "[0, 1)")
    check_interval("share", 1.0, "(0, 1]")


def test_unknown_choice_is_named_with_the_choices():
    with pytest.raises(ValueError, match="Parameter `kind` should be 'a', 'b' or 'c'. Found `kind = 'd'`."):
        check_choice("kind", "d", ("a", "b", "c"))
    check_choice("kind", "a", ("a",))


def test_shapes_that_differ_are_named():
    with pytest.raises(ValueError, match=r"`p` and `q` should have the same shape. Found \(2, 3\) and .* Turn it."):
        check_same_shape(torch.ones(2, 3), torch.ones(3, 2), ("p", "q"), "Turn it.")
    check_same_shape(torch.ones(2), torch.zeros(2))
