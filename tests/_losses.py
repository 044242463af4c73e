"""What every loss of a whole batch must pass, whatever its signals; values per position have `assert_divergence`."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from lightning_abkd.losses import DistillationLoss, ForwardKL, ReverseKL

Signals = dict[str, Tensor]
Build = Callable[[], DistillationLoss]


def assert_loss(
    build: Build,
    signals: Signals,
    zero: Signals | None = None,
    *,
    exact: bool = True,
    excluded: bool = True,
    sharpest: float = 60.0,
) -> None:
    """A finite scalar of any dtype, whose gradient is its own and finite, whose state is saved, and 0 at its minimum.

    Args:
        build: Builds the loss in float32, in the state in which its values are compared.
        signals: Signals of one batch of at least three samples, floating ones in float64.
        zero: Signals at which the loss vanishes and is least; None if there are none.
        exact: Whether the gradient is that of the value, which is not so where a weight is detached by definition.
        excluded: Whether logits of -inf are allowed.
        sharpest: Factor by which the signals may be stretched without an infinite gradient in float32.
    """
    assert set(build().required_signals) <= signals.keys()
    assert_scalar(build, signals)
    assert_samples_have_no_order(build, signals)
    assert_shift_does_not_matter(build, signals)
    assert_dtypes(build, signals)
    assert_state_is_saved(build, signals)
    assert_finite_gradients(build, signals, excluded, sharpest)
    assert_wrong_sizes_are_refused(build, signals)
    if exact:
        assert_gradient(build, signals)
    if zero is not None:
        assert_least(build, signals, zero)
    if "mask" in build().accepted_signals:
        assert_mask(build, signals)


def pair(student: Tensor, teacher: Tensor) -> Signals:
    return {"student_logits": student, "teacher_logits": teacher}


def evaluated(build: Build, dtype: torch.dtype = torch.float64) -> DistillationLoss:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build().to(dtype).eval()


def of_student(signals: Signals) -> list[str]:
    return [name for name in signals if name.startswith("student")]


def of_logits(signals: Signals) -> list[str]:
    return [name for name in signals if "logits" in name]


def cast(signals: Signals, dtype: torch.dtype) -> Signals:
    return {name: x.to(dtype) if x.is_floating_point() else x for name, x in signals.items()}


def gradients(loss: DistillationLoss, signals: Signals) -> list[Tensor]:
    """Gradients with respect to the student's signals."""
    leaves = {name: signals[name].clone().requires_grad_() for name in of_student(signals)}
    return list(torch.autograd.grad(loss(**signals | leaves), list(leaves.values())))


def assert_scalar(build: Build, signals: Signals) -> None:
    """One finite number, the same each time, that leaves its inputs as they were and moves the student."""
    loss, before = evaluated(build), {name: x.clone() for name, x in signals.items()}
    value = loss(**signals)
    assert value.shape == ()
    assert value.isfinite()
    assert torch.equal(loss(**signals), value)
    assert all(torch.equal(signals[name], x) for name, x in before.items())
    assert all(gradient.any() for gradient in gradients(loss, signals))


def assert_samples_have_no_order(build: Build, signals: Signals) -> None:
    loss = evaluated(build)
    torch.testing.assert_close(loss(**{name: x.flip(0) for name, x in signals.items()}), loss(**signals))


def assert_shift_does_not_matter(build: Build, signals: Signals) -> None:
    """Logits are defined up to a constant per sample."""
    shifted = {name: signals[name] + 5.0 * len(name) for name in of_logits(signals)}
    loss = evaluated(build)
    torch.testing.assert_close(loss(**signals | shifted), loss(**signals))


def assert_dtypes(build: Build, signals: Signals) -> None:
    """Half precision is promoted, and float32 and float64 are kept; live numbers are never rounded."""
    rounded = cast(signals, torch.bfloat16)
    exact = evaluated(build)(**cast(rounded, torch.float64))
    assert exact.dtype == torch.float64
    for dtype in (torch.bfloat16, torch.float32):
        value = evaluated(build, torch.float32)(**cast(rounded, dtype))
        assert value.dtype == torch.float32
        torch.testing.assert_close(value.double(), exact, rtol=1e-3, atol=1e-5)
    live = {name: x for name, x in build().named_buffers() if x.dim() == 0 and x.is_floating_point()}
    assert all(torch.equal(evaluated(build, torch.bfloat16).get_buffer(name), x) for name, x in live.items())


def assert_state_is_saved(build: Build, signals: Signals) -> None:
    """A restored loss and a copy have the value of the one that has seen a batch and whose live numbers have moved."""
    moved = evaluated(build).train()
    for loss in moved.modules():
        for name, buffer in loss.named_buffers(recurse=False):
            # A named point has no live α and β.
            fixed = isinstance(loss, ForwardKL | ReverseKL) and name in ("alpha", "beta")
            if buffer.dim() == 0 and buffer.is_floating_point() and not fixed:
                buffer.mul_(1.25)
    moved(**signals)
    restored = build().to(torch.float64)
    restored.load_state_dict(copy.deepcopy(moved.state_dict()))
    value = moved.eval()(**signals)
    for other in (restored, copy.deepcopy(moved)):
        assert torch.equal(other.eval()(**signals), value)


def assert_finite_gradients(build: Build, signals: Signals, excluded: bool, sharpest: float) -> None:
    """In float32 for very sharp and for constant signals of the student, and where a class is excluded."""
    loss, plain = evaluated(build, torch.float32), cast(signals, torch.float32)
    cases = [
        {name: sharpest * x for name, x in plain.items() if x.is_floating_point()},
        {name: torch.ones_like(plain[name]) for name in of_student(plain)},
    ]
    if excluded:
        cases.append({name: without_last_class(plain[name]) for name in of_logits(plain)})
    for case in cases:
        assert all(gradient.isfinite().all() for gradient in gradients(loss, plain | case))


def without_last_class(logits: Tensor) -> Tensor:
    logits = logits.clone()
    logits[..., -1] = -torch.inf
    return logits


def assert_wrong_sizes_are_refused(build: Build, signals: Signals) -> None:
    for name in of_student(signals):
        with pytest.raises(ValueError, match=r"should.*Found"):
            evaluated(build)(**signals | {name: signals[name][..., :-1]})


def assert_gradient(build: Build, signals: Signals) -> None:
    """The gradient with respect to the student's signals is the numerical one."""
    loss, names = evaluated(build), of_student(signals)
    inputs = [signals[name].clone().requires_grad_() for name in names]
    assert torch.autograd.gradcheck(lambda *x: loss(**signals | dict(zip(names, x, strict=True))), inputs)


def assert_least(build: Build, signals: Signals, zero: Signals) -> None:
    """The value is 0 at its minimum, where the gradient vanishes, and positive elsewhere."""
    loss = evaluated(build)
    torch.testing.assert_close(loss(**zero), torch.zeros((), dtype=torch.float64), rtol=0, atol=1e-5)
    for gradient in gradients(loss, zero):
        torch.testing.assert_close(gradient, torch.zeros_like(gradient), rtol=0, atol=1e-5)
    assert loss(**signals) > 1e-3


def assert_mask(build: Build, signals: Signals) -> None:
    """Masked samples do not count, and without any sample the value is a 0 that has a gradient."""
    loss, mask = evaluated(build), torch.ones(len(signals["student_logits"]), dtype=torch.bool)
    mask[1] = False
    torch.testing.assert_close(loss(**signals, mask=mask), loss(**{name: x[mask] for name, x in signals.items()}))
    nothing = signals | {"mask": torch.zeros_like(mask)}
    assert loss(**nothing) == 0.0
    assert not any(gradient.any() for gradient in gradients(loss, nothing))


def assert_reductions(build: Callable[[str], DistillationLoss], signals: Signals) -> None:
    """The reductions "mean" and "sum" are those of "none"."""
    values = build("none")(**signals)
    torch.testing.assert_close(build("mean")(**signals), values.mean())
    torch.testing.assert_close(build("sum")(**signals), values.sum())
