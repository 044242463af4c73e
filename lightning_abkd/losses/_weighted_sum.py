"""Several losses at once."""

from collections.abc import Mapping

from torch import Tensor, nn

from lightning_abkd._utils import check_finite
from lightning_abkd.losses._base import DistillationLoss, check_whole

_LOGGED = ("loss", "task_loss", "accuracy")


class WeightedSum(DistillationLoss):
    r"""Weighted sum of losses, each logged under its name, such as KD + CRD.

    .. math::

        L = \sum_i w_i L_i

    where:

    - L_i -> `losses`: any losses, by name.
    - w_i -> `weights`: any finite numbers; 1 where it is left out.

    It requires the signals that its terms require. The weights are live: `HyperparameterScheduler` finds that of a term
    "crd" at `divergence.crd_weight`, and the term's own numbers below `divergence.losses.crd`. In a config::

        divergence:
          class_path: lightning_abkd.losses.WeightedSum
          init_args:
            losses:
              kd: {class_path: ForwardKL, init_args: {temperature: 4.0, scale_by_temperature: true}}
              crd: {class_path: CRD, init_args: {n_data: 50000, student_dim: 64, teacher_dim: 256}}
            weights: {crd: 0.8}

    Args:
        losses: The terms by name.
        weights: Weight of each term by name, any finite number; those left out are 1.

    Raises:
        ValueError: If there is no term, a name is no valid attribute or is already logged for something else, a weight
            belongs to no term, or a weight is not finite.

    Example:
        >>> import torch
        >>> from lightning_abkd.losses import ForwardKL, ReverseKL
        >>> loss = WeightedSum({"fkl": ForwardKL(), "rkl": ReverseKL()}, {"rkl": 0.5})
        >>> loss.required_signals, loss.rkl_weight.item()
        (('student_logits', 'teacher_logits'), 0.5)
    """

    # An nn.ModuleDict, annotated by what it holds.
    losses: Mapping[str, DistillationLoss]

    def __init__(self, losses: dict[str, DistillationLoss], weights: dict[str, float] | None = None) -> None:
        weights = weights or {}
        _check_names(losses)
        _check_weights(weights, losses)
        super().__init__()
        self.add_module("losses", nn.ModuleDict(losses))
        for name in losses:
            self.hyperparameter(f"{name}_weight", weights.get(name, 1.0), default=1.0)

    @property
    def required_signals(self) -> tuple[str, ...]:
        """Names of the signals that some term needs."""
        return tuple(dict.fromkeys(name for loss in self.losses.values() for name in loss.required_signals))

    @property
    def accepted_signals(self) -> tuple[str, ...]:
        """Names of the signals that some term takes."""
        return tuple(dict.fromkeys(name for loss in self.losses.values() for name in loss.accepted_signals))

    def forward(self, **signals: Tensor) -> Tensor:
        """Compute the sum of all terms from their signals by name.

        Raises:
            ValueError: If a signal is missing.
        """
        if missing := [name for name in self.required_signals if name not in signals]:
            raise ValueError(f"WeightedSum should be given the signals of all terms. Found no {', '.join(missing)}.")
        terms = [weight * value for weight, value in self.terms(signals).values()]
        return sum(terms[1:], start=terms[0])

    def terms(self, signals: Mapping[str, Tensor]) -> dict[str, tuple[Tensor, Tensor]]:
        """Compute weight and value of each term whose signals are there."""
        values = {name: _value(loss, signals) for name, loss in self.losses.items()}
        return {name: (getattr(self, f"{name}_weight"), value) for name, value in values.items() if value is not None}


def _check_names(losses: Mapping[str, DistillationLoss]) -> None:
    if not losses:
        raise ValueError("Parameter `losses` should hold at least one loss. Found `losses = {}`.")
    for name in losses:
        if not name.isidentifier() or name in _LOGGED or hasattr(nn.ModuleDict, name):
            raise ValueError(
                "Parameter `losses` should have plain names that neither torch's modules nor the log use already. "
                f"Found {name!r}. Choose another one."
            )


def _check_weights(weights: Mapping[str, float], losses: Mapping[str, DistillationLoss]) -> None:
    if unknown := sorted(set(weights) - set(losses)):
        raise ValueError(
            f"Parameter `weights` should name terms of `losses`, {', '.join(losses)}. Found {', '.join(unknown)}."
        )
    for name, weight in weights.items():
        check_finite(f"weights[{name!r}]", weight)


def loss_terms(loss: DistillationLoss, signals: Mapping[str, Tensor]) -> Mapping[str, tuple[float | Tensor, Tensor]]:
    """Compute weight and value of each term of a loss whose signals are there.

    Args:
        loss: Any loss.
        signals: Named tensors, more than the loss takes or fewer than it asks for.

    Returns:
        The terms of a `WeightedSum` by their names; any other loss with weight 1 as "divergence".

    Example:
        >>> import torch
        >>> from lightning_abkd.losses import ForwardKL
        >>> loss_terms(ForwardKL(), {"student_logits": torch.zeros(2, 3), "teacher_logits": torch.zeros(2, 3)})
        {'divergence': (1.0, tensor(0.))}
        >>> loss_terms(ForwardKL(), {"student_logits": torch.zeros(2, 3)})
        {}
    """
    if isinstance(loss, WeightedSum):
        return loss.terms(signals)
    value = _value(loss, signals)
    return {} if value is None else {"divergence": (1.0, value)}


def _value(loss: DistillationLoss, signals: Mapping[str, Tensor]) -> Tensor | None:
    """Compute a loss from its signals; None where one is missing."""
    if not all(name in signals for name in loss.required_signals):
        return None
    taken = {name: signals[name] for name in loss.accepted_signals if name in signals}
    value: Tensor
    if "mask" in signals and "labels" in taken and "mask" not in taken:
        # A loss that takes labels and no mask gets the counted positions alone.
        check_whole(type(loss).__name__, taken)
        taken = _counted(taken, signals["mask"])
        if not taken["labels"].numel():
            value = signals["student_logits"].sum() * 0.0
            return value
    value = loss(**taken)
    return value


def _counted(signals: Mapping[str, Tensor], mask: Tensor) -> dict[str, Tensor]:
    """Pick the positions at which a mask is True from all signals that have one value or row for each."""
    return {name: x[mask] if x.shape[: mask.dim()] == mask.shape else x for name, x in signals.items()}
