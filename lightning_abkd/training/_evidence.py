"""Where numbers of a batch are NaN or infinite: which network, which kind, which samples."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from torch import Tensor

from lightning_abkd.training._batches import Batch, views_of
from lightning_abkd.training._pieces import local_part

# The largest entry at each position (B, …) by the name of what holds it.
Rows = dict[str, Tensor]

_MOST_NAMED = 8


class Finding(NamedTuple):
    """What is wrong with the numbers of a batch.

    Args:
        source: "inputs", "teacher", "student", "loss" or "gradient".
        what: What holds the numbers, as the start of a sentence.
        kind: "NaN", "inf" or another kind, as the object of "contain".
        samples: Positions of the bad samples in the batch.
        where: The samples as the end of a sentence; empty where no sample can be told.
    """

    source: str
    what: str
    kind: str
    samples: tuple[int, ...] = ()
    where: str = ""


@dataclass
class Look:
    """What a guard sees of a micro-batch.

    Args:
        batch: The batch that the networks saw.
        batch_idx: Its position in the epoch.
        losses: The loss and its terms, without gradient, shape () each.
        rows: Computes the largest entry of the logits at each position.
        generators: States of the random generators before the batch.
        found: What is wrong with it, once it was asked for.
        module: The first module that computed it, if modules are watched.
    """

    batch: Batch
    batch_idx: int
    losses: dict[str, Tensor]
    rows: Callable[[], Rows]
    generators: dict[str, Tensor] = field(default_factory=dict)
    found: Finding | None = None
    module: str = ""

    def is_wrong(self) -> Tensor:
        """Return whether the loss is no finite number, as a tensor that is not waited for."""
        return ~self.losses["loss"].isfinite()

    def finding(self) -> Finding:
        """Find out once where the numbers went wrong first; this waits for the device."""
        if self.found is None:
            index = index_of(self.batch)
            found = finding_in(inputs_of(self.batch), index) or finding_in(self.rows(), index)
            self.found = found or _of_losses(self.losses)
        return self.found

    def compute_rows(self) -> None:
        """Keep small tensors on the device instead of logits; this waits for nothing."""
        found = self.rows()
        self.rows = lambda: found

    def release(self) -> None:
        """Keep no logits of a batch whose numbers are right."""
        self.rows = dict


def largest(signals: Mapping[str, Tensor]) -> Rows:
    """Compute the largest entry of logits and features at each position.

    NaN is larger than every number, and a class at -inf is no error unless all classes of a position are there.

    Example:
        >>> import torch
        >>> largest({"student_logits": torch.tensor([[0.0, -torch.inf], [1.0, torch.nan]])})
        {'student_logits': tensor([0., nan])}
    """
    wanted = {name: local_part(x.detach()) for name, x in signals.items() if "_logits" in name or "_features" in name}
    return {name: x.amax(-1) for name, x in wanted.items() if x.is_floating_point() and x.dim() and x.shape[-1]}


def finding_in(rows: Rows, index: Tensor | None = None) -> Finding | None:
    """Return what is wrong with the first of some rows that is wrong: inputs before networks, teacher before student.

    Args:
        rows: The largest entry at each position.
        index: Positions of the samples in their data set (B,), or None.
    """
    for name in sorted(rows, key=_order):
        values = rows[name]
        kind = _kind(values)
        if kind:
            samples = _bad_samples(values)
            return Finding(_source(name), _what(name), kind, samples, _where(values, samples, index))
    return None


def inputs_of(batch: Batch) -> Rows:
    """Compute of each floating input of a batch the largest magnitude in each sample; masks may hold -inf."""
    floats = {
        name: local_part(x.detach())
        for name, x in _inputs_in(batch).items()
        if isinstance(x, Tensor) and x.is_floating_point()
    }
    return {name: x.abs().reshape(len(x), -1).amax(1) for name, x in floats.items() if x.dim() and x.numel()}


def _inputs_in(batch: Batch) -> dict[str, object]:
    try:
        views = views_of(batch, False).inputs
    except (TypeError, ValueError):
        named = batch.items() if isinstance(batch, Mapping) else ()
        return {f"inputs `{name}`": x for name, x in named if "mask" not in name and "label" not in name}
    return {f"inputs {i or ''}".strip(): view for i, view in enumerate(views)}


def index_of(batch: Batch) -> Tensor | None:
    """Return the positions of a batch's samples in their data set, if the batch carries them."""
    try:
        return views_of(batch, True).signals.get("index")
    except (TypeError, ValueError):
        index = batch.get("index") if isinstance(batch, Mapping) else None
        return index if isinstance(index, Tensor) else None


def listed(numbers: tuple[int, ...]) -> str:
    """List the first numbers, and say if there are more."""
    return ", ".join(map(str, numbers[:_MOST_NAMED])) + (", …" if len(numbers) > _MOST_NAMED else "")


def _of_losses(losses: Mapping[str, Tensor]) -> Finding:
    wrong = {name: _kind(value) for name, value in losses.items() if name != "loss" and _kind(value)}
    total = _kind(losses["loss"]) or "NaN"
    if len(wrong) != 1:
        return Finding("loss", "The loss", total)
    return Finding("loss", f"The loss's term `{next(iter(wrong))}`", next(iter(wrong.values())))


def _kind(values: Tensor) -> str:
    if bool(values.isnan().any()):
        return "NaN"
    if bool(values.isposinf().any()):
        return "inf"
    return "-inf for every class" if bool(values.isneginf().any()) else ""


def _order(name: str) -> int:
    return next(i for i, part in enumerate(("inputs", "teacher", "student", "")) if name.startswith(part))


def _source(name: str) -> str:
    return next(part for part in ("inputs", "teacher", "student", "") if name.startswith(part))


def _what(name: str) -> str:
    if name.startswith("inputs"):
        return f"The {name}"
    network, _, signal = name.partition("_")
    view = " of the second view" if signal.endswith("_strong") else ""
    return f"The {network}'s {signal.removesuffix('_strong')}{view}"


def _bad_samples(values: Tensor) -> tuple[int, ...]:
    if not values.dim():
        return ()
    wrong = ~values.isfinite().reshape(len(values), -1).all(1)
    return tuple(wrong.nonzero().flatten().tolist())


def _where(values: Tensor, samples: tuple[int, ...], index: Tensor | None) -> str:
    if not samples:
        return ""
    where = f"in {len(samples)} of {len(values)} samples of the batch: {listed(samples)}"
    if len(samples) == len(values) > 1:
        where = f"in all {len(values)} samples of the batch"
    if values.dim() > 1:
        first = (~values.isfinite()).nonzero()[0].tolist()
        where += f" (first at position {', '.join(map(str, first[1:]))} of sample {first[0]})"
    if index is not None and index.dim() == 1 and len(index) == len(values):
        where += f", whose index in the data set is {listed(tuple(index[list(samples)].tolist()))}"
    return where
