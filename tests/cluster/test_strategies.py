"""Every strategy gives the weights of one process."""

import pytest
import torch

from lightning_abkd.language.generation import OnPolicy, Sampling
from lightning_abkd.losses import AlphaBetaDivergence
from tests._processes import on_ranks
from tests.cluster._runs import (
    Owning,
    Tokens,
    adapted,
    image_module,
    images,
    language_module,
    schedule,
    trained,
)

GREEDY = Sampling(max_new_tokens=3, temperature=0.0)


def scheduled_images(strategy, dtype):
    module = image_module(dtype, AlphaBetaDivergence())
    return trained(module, images(dtype), strategy, micro=4, callbacks=[schedule()])


def clipped_images_with_a_loss_that_owns_weights(strategy, dtype):
    return trained(image_module(dtype, Owning()), images(dtype), strategy, micro=2, gradient_clip_val=0.05)


def ragged_language(strategy, dtype):
    return trained(language_module(dtype, fused_head=True), Tokens(), strategy, micro=2, gradient_clip_val=0.2)


def adapted_language_on_policy(strategy, dtype):
    module = language_module(dtype, adapted, fused_head=False, student_data=OnPolicy(0.6, GREEDY))
    return trained(module, Tokens(), strategy)


CASES = (
    scheduled_images,
    clipped_images_with_a_loss_that_owns_weights,
    ragged_language,
    adapted_language_on_policy,
)


def all_cases(strategies, dtype, cases):
    torch.set_default_dtype(dtype)
    return {(case.__name__, name): case(name, dtype) for case in cases for name in strategies}


def largest_errors(ranks, dtype, cases):
    """Return by case and strategy how far weights of any rank are from those of one process."""
    found = on_ranks(all_cases, ranks, ("ddp", "fsdp2"), dtype, cases)
    alone = on_ranks(all_cases, 1, ("auto",), dtype, cases)[0]
    return {
        key: max(float((alone[key[0], "auto"][name] - x).abs().max()) for one in found for name, x in one[key].items())
        for key in found[0]
    }


@pytest.mark.parametrize(
    ("ranks", "dtype", "cases", "bound"),
    [
        (2, torch.float64, CASES, 1e-12),
        (4, torch.float64, (clipped_images_with_a_loss_that_owns_weights, ragged_language), 1e-12),
        (2, torch.float32, (ragged_language,), 1e-5),
    ],
)
def test_weights_are_those_of_one_process(ranks, dtype, cases, bound):
    errors = largest_errors(ranks, dtype, cases)
    assert len(errors) == 2 * len(cases)
    assert {key: error for key, error in errors.items() if not error < bound} == {}
