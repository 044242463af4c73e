"""A few optimizer steps on one batch at the largest rate of the schedule, to see whether they explode."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from lightning.pytorch import Trainer
from torch import Tensor
from torch.optim import Optimizer

from lightning_abkd.diagnostics.doctor._finding import Finding, green, not_checked, red
from lightning_abkd.training import Batch, DistillationModule

_NAME = "learning rate"
_STEPS = 4
# The loss of one batch falls with each step on it at a good rate. With data that hardly vary, momentum lets it rise
# twentyfold after short steps, and it comes down again.
_LOSS_RISES = 10.0
_LOSS_SOARS = 100.0
_LEAST_RISE = 1.0
# Lengths of a step as a share of the weights': one that a rise comes from, and one that leaves nothing of the weights.
_LONG_STEP = 0.3
_LONGEST_STEP = 10.0


@dataclass
class Trial:
    """What a few steps on one batch did.

    Args:
        rate: Learning rate of the first group.
        losses: Loss before each step and after the last one.
        step: Length of the first step as a share of the weights' norm.
        stopped: What stopped the steps before their end, or "".
    """

    rate: float
    losses: list[float] = field(default_factory=list)
    step: float = 0.0
    stopped: str = ""


def trial(trainer: Trainer, module: DistillationModule, batch: Batch) -> Trial | None:
    """Take steps on a batch at the largest rate of the schedule; the caller restores the weights.

    Returns:
        What they did; None for a module that optimizes by its own code.
    """
    if not module.automatic_optimization:
        return None
    optimizer = trainer.optimizers[0]
    optimizer.state.clear()
    for group in optimizer.param_groups:
        group["lr"] = group.get("max_lr", group.get("initial_lr", group["lr"]))
    found = Trial(float(optimizer.param_groups[0]["lr"]))
    try:
        with _data_alone(module):
            _steps(trainer, module, batch, optimizer, found)
    except FloatingPointError as error:
        found.stopped = str(error).partition(". ")[0]
    return found


@contextmanager
def _data_alone(module: DistillationModule) -> Iterator[None]:
    """Train on the data as they are: responses of the student would make each step another one."""
    policy: object = getattr(module, "student_data", None)
    if policy is None:
        yield
        return
    setattr(module, "student_data", None)  # noqa: B010  (only the module of language has it)
    try:
        yield
    finally:
        setattr(module, "student_data", policy)  # noqa: B010


def _steps(trainer: Trainer, module: DistillationModule, batch: Batch, optimizer: Optimizer, found: Trial) -> None:
    weights = [x for group in optimizer.param_groups for x in group["params"]]
    for number in range(_STEPS):
        found.losses.append(_loss(trainer, module, batch, optimizer))
        before = [] if number else [x.detach().clone() for x in weights]
        module.clip_gradients(optimizer, trainer.gradient_clip_val, trainer.gradient_clip_algorithm)
        optimizer.step()
        moved = [x.detach() - y for x, y in zip(weights, before, strict=False)]
        # Weights that begin at 0 have no length to compare with.
        found.step = _norm(moved) / _norm(before) if before and _norm(before) else found.step
    found.losses.append(_loss(trainer, module, batch, optimizer))


def _loss(trainer: Trainer, module: DistillationModule, batch: Batch, optimizer: Optimizer) -> float:
    """Compute the loss of a batch and its gradient."""
    optimizer.zero_grad()
    with trainer.precision_plugin.train_step_context():
        loss: Tensor | None = module.training_step(batch, 0)
    if loss is None:
        raise FloatingPointError("The step gives no loss.")
    loss.backward()
    module.on_before_optimizer_step(optimizer)
    return float(loss.detach())


def _norm(values: list[Tensor]) -> float:
    return math.sqrt(sum(float(x.double().square().sum()) for x in values))


def learning_rate(found: Trial | None) -> Finding:
    """Judge the steps of a trial."""
    if found is None or not found.losses:
        return not_checked(_NAME, "no step could be tried")
    first = found.losses[0]
    last = found.losses[-1]
    said = f"from {first:.3g} to {_largest(found.losses):.3g} in {_STEPS} steps on one batch at lr = {found.rate:g}"
    cure = f"Lower it (`--model.optimizer.lr {found.rate / 10:g}`), or set `trainer.gradient_clip_val`."
    if found.stopped or not all(map(math.isfinite, found.losses)):
        why = found.stopped or "the loss is no longer a number"
        return red(_NAME, f"Learning rate that explodes: {why} after a few steps at lr = {found.rate:g}.", cure)
    if found.rate == 0.0 and found.step == 0.0:
        return red(_NAME, "Learning rate 0: a step changes no weight.", "Raise it (`--model.optimizer.lr 0.001`).")
    if _soars(found):
        return red(_NAME, f"Learning rate that explodes: the loss grows {said}.", cure)
    if found.step > _LONGEST_STEP:
        what = f"the first step at lr = {found.rate:g} is {found.step:.0f} times as long as the weights themselves"
        return red(_NAME, f"Learning rate that explodes: {what}.", cure)
    return green(_NAME, f"{found.rate:g}: the loss goes from {first:.3g} to {last:.3g} in {_STEPS} steps on one batch")


def _soars(found: Trial) -> bool:
    most = _largest(found.losses)
    first = found.losses[0]
    rises = most > _LOSS_RISES * first and found.step > _LONG_STEP
    return most - first > _LEAST_RISE and (rises or most > _LOSS_SOARS * first)


def _largest(losses: list[float]) -> float:
    return max(losses)
