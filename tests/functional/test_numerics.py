import runpy

import torch

from lightning_abkd.functional import _numerics, can_read_without_sync, promote_to_float32
from lightning_abkd.functional._numerics import (
    are_moderate,
    bound_infinities,
    first_difference,
    scaled_second_difference,
    weighted,
)


def second_difference(a, c):
    return scaled_second_difference(torch.ones_like(a), torch.ones_like(a), a, c)


def test_first_difference_is_one_at_zero_and_inverse_far_away():
    values = first_difference(torch.tensor([0.0, 1e-20, 1e18], dtype=torch.float64))
    torch.testing.assert_close(values, torch.tensor([1.0, 1.0, 1e-18], dtype=torch.float64))


def test_second_difference_is_one_half_at_zero():
    assert second_difference(torch.zeros(1), torch.zeros(1)).item() == 0.5


def test_second_difference_is_continuous_where_the_series_ends():
    a, c = torch.tensor([0.1], dtype=torch.float64), torch.tensor([0.2 - 1e-12, 0.2 + 1e-12], dtype=torch.float64)
    below, above = second_difference(a, c)
    torch.testing.assert_close(below, above, rtol=1e-11, atol=0)


def test_second_difference_equals_its_definition():
    a, c = torch.tensor([0.5, 2.0, 0.01], dtype=torch.float64), torch.tensor([1.0, 3.0, 5.0], dtype=torch.float64)
    b = a + c
    # Divided differences of exp at the nodes 0, -a, -b.
    expected = ((1 - torch.exp(-a)) / a - (torch.exp(-a) - torch.exp(-b)) / c) / b
    torch.testing.assert_close(second_difference(a, c), expected, rtol=1e-12, atol=0)


def test_second_difference_survives_infinitely_far_nodes():
    far, near = torch.tensor([1e18]), torch.tensor([0.0])
    assert second_difference(far, near).isfinite().all()
    assert second_difference(near, far).isfinite().all()


def test_second_difference_overflows_only_where_the_result_does():
    root, distance = torch.tensor([1e30, 1.0, 1e30]), torch.tensor([1e-25, 1e30, 1e30])
    # (root · distance)²/2 for equal nodes; for gaps 1 and 1 far apart it is root²/2 · (1 - 2 e^-d + e^-2d).
    values = scaled_second_difference(root, distance, torch.tensor([0.0, 1.0, 0.0]), torch.tensor([0.0, 1.0, 0.0]))
    torch.testing.assert_close(values, torch.tensor([0.5e10, 0.5, torch.inf]))
    nothing = scaled_second_difference(*(torch.tensor([x]) for x in (0.0, 3e38, 0.0, 0.2)))
    assert nothing.item() == 0.0


def test_classes_excluded_by_both_become_equal():
    low = torch.finfo(torch.float32).min
    log_p, log_q, unchanged = bound_infinities(
        torch.tensor([-torch.inf, low, -torch.inf]), torch.tensor([-torch.inf, -torch.inf, -1.0])
    )
    assert not unchanged
    assert (log_p[:2] == 0).all()
    assert (log_q[:2] == 0).all()
    assert log_p[2] - log_q[2] < -1e17


def test_moderate_tensors_are_returned_as_they_are():
    pair = (torch.zeros(2), torch.ones(2))
    log_p, log_q, unchanged = bound_infinities(*pair)
    assert (log_p is pair[0], log_q is pair[1], unchanged) == (True, True, True)
    assert are_moderate(*pair)
    assert not are_moderate(torch.tensor([-1e20]), pair[0])


def test_a_weight_of_0_leaves_out_what_is_infinite():
    value = torch.tensor([torch.inf, 2.0])
    assert weighted(0.0, value).tolist() == [0.0, 0.0]
    assert weighted(torch.tensor([0.0, 0.5]), value).tolist() == [0.0, 1.0]


def test_promotion_takes_the_widest_dtype():
    half, double = torch.zeros(1, dtype=torch.float16), torch.zeros(1, dtype=torch.float64)
    assert promote_to_float32(half).dtype == torch.float32
    assert promote_to_float32(half, double).dtype == promote_to_float32(double, half).dtype == torch.float64


def test_tensors_of_a_device_are_not_read():
    assert can_read_without_sync(torch.zeros(1))
    assert not can_read_without_sync(torch.zeros(1, device="meta"))


def test_traced_code_reads_no_tensor():
    compiled = torch.compile(lambda x: x + can_read_without_sync(x), backend="eager")
    assert compiled(torch.zeros(1)) == 0


def test_import_computes_a_vector_of_powers_on_the_cpu(monkeypatch):
    powers = []
    monkeypatch.setattr(torch, "pow", lambda base, exponent: powers.append(base))
    runpy.run_path(_numerics.__file__)
    assert [(base.device.type, len(base)) for base in powers] == [("cpu", 64)]
