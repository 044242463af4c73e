"""Runs a batch again whose numbers went wrong in a training."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from lightning_abkd.training._batches import Batch
from lightning_abkd.training._distillation import DistillationModule
from lightning_abkd.training._evidence import Look, largest
from lightning_abkd.training._module_watch import ModuleWatch
from lightning_abkd.training._non_finite_report import about_modules, networks_of, sentence
from lightning_abkd.training._step_window import StepWindow, are_wrong, finding_in_gradients
from lightning_abkd.training._terms import weighted_sum


class Replay(NamedTuple):
    """What a batch gives when it runs again.

    Args:
        losses: The loss and its terms by their names.
        finding: What is wrong with its numbers, and the first bad module; empty if nothing is.

    Example: see `replay_batch`.
    """

    losses: dict[str, float]
    finding: str


def replay_batch(module: DistillationModule, path: str | Path) -> Replay:
    """Run the batches of a file again that a guard has saved, forward and backward, and name the first bad module.

    The file has the batches, α and β, the weights of the terms and the states of the random generators, but no weights
    of networks: give the module those that it had, such as those of Lightning's `OnExceptionCheckpoint`. Afterwards the
    module is as before.

    Args:
        module: A module like that of the run.
        path: The file that the message of the run names.

    Returns:
        The losses and the finding of the first batch that goes wrong, or those of the last one.

    Raises:
        FileNotFoundError: If there is no such file.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> module = DistillationModule(student=torch.nn.Linear(2, 3))
        >>> saved = {"generators": {}, "batch_idx": 0, "batch": (torch.tensor([[torch.nan, 1.0]]), torch.tensor([2]))}
        >>> with TemporaryDirectory() as folder:
        ...     torch.save({"numbers": {}, "weights": {}, "batches": [saved]}, f"{folder}/a.pt")
        ...     replay_batch(module, f"{folder}/a.pt").finding
        'The inputs contain NaN in batch 0 in 1 of 1 samples of the batch: 0.'
    """
    content = torch.load(path, map_location="cpu", weights_only=True)
    result = Replay({}, "")
    with _as_in_training(module, content), torch.random.fork_rng():
        for saved in content["batches"]:
            result = _replayed(module, saved)
            if result.finding:
                break
    return result


def _replayed(module: DistillationModule, saved: Mapping[str, Batch]) -> Replay:
    _set_generators(saved["generators"])
    batch = module.transfer_batch_to_device(saved["batch"], module.device, 0)
    watch = ModuleWatch(lambda: networks_of(module))
    watch.start()
    try:
        losses = module.losses_of(batch)
        loss = weighted_sum(losses.terms)
        loss.backward()
    finally:
        watch.stop()
    named = {"loss": loss} | {name: value for name, (_, value) in losses.terms.items()}
    values = {name: value.detach() for name, value in named.items()}
    place = f"in batch {saved['batch_idx']}"
    numbers = {name: value.item() for name, value in values.items()}
    look = Look(batch, saved["batch_idx"], values, partial(largest, losses.signals))
    if bool(look.is_wrong()):
        return Replay(numbers, _said(look, place, watch.first_output()))
    gradients = [p.grad for p in module.parameters() if p.grad is not None]
    if not bool(are_wrong(gradients, module.device)):
        return Replay(numbers, "")
    finding = finding_in_gradients(module.named_parameters())
    return Replay(numbers, f"{sentence(finding, place)} {about_modules(finding, watch.first_gradient(), True)}")


def _said(look: Look, place: str, first: str) -> str:
    finding = look.finding()
    return f"{sentence(finding, place)} {about_modules(finding, first, True)}".rstrip()


@contextmanager
def _as_in_training(module: DistillationModule, content: Mapping[str, Mapping[str, float]]) -> Iterator[None]:
    """Set modes, α and β, and weights of terms as they were; afterwards all is as before."""
    kept = StepWindow(module)
    modes = {part: part.training for part in module.modules()}
    gradients = [(parameter, parameter.grad) for parameter in module.parameters()]
    weights = {name: getattr(module, name) for name in content["weights"]}
    buffers: dict[str, Tensor] = {} if module.divergence is None else dict(module.divergence.named_buffers())
    try:
        module.train()
        module.zero_grad()
        for name, value in content["weights"].items():
            setattr(module, name, value)
        for name in buffers.keys() & content["numbers"].keys():
            buffers[name].fill_(content["numbers"][name])
        yield
    finally:
        kept.restore()
        for part, mode in modes.items():
            part.training = mode
        for parameter, gradient in gradients:
            parameter.grad = gradient
        for name, value in weights.items():
            setattr(module, name, value)


def _set_generators(states: Mapping[str, Tensor]) -> None:
    if "cpu" in states:
        torch.set_rng_state(states["cpu"])
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"])
