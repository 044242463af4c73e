"""The share of each term of the loss in the gradient of the first batch."""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from lightning_abkd.distributed import whole
from lightning_abkd.losses import DistillationLoss, WeightedSum
from lightning_abkd.training._batches import Signals

_SMALL = 0.1
_LOGITS = ("student_logits", "student_logits_strong")


class GradientShares:
    """Measures in the backward pass of one batch how much each term moves the student's logits.

    The share of a term is the norm of its weighted gradient with respect to the logits, divided by the sum of the norms
    of all terms. Each term gets an alias of the logits, whose gradient is looked at on its way: nothing is computed
    twice, and the step is the same. With a compiled loss nothing is measured, because it would be compiled again.

    Attributes:
        norms: Norm of each term's weighted gradient, once it is measured.
    """

    def __init__(self) -> None:
        self._is_watching = False
        self._is_first = True
        self._squares: dict[str, list[Tensor]] = {}
        self.norms: dict[str, float] = {}

    @contextmanager
    def watch(self, divergence: DistillationLoss | None) -> Iterator[None]:
        """Watch the terms that are computed in this context, if it is the first one."""
        losses = _losses_of(divergence)
        self._is_watching = self._is_first and not any(_is_compiled(loss) for loss in losses.values())
        self._is_first = False
        if not self._is_watching:
            yield
            return
        handles = [self._hook(name, loss) for name, loss in losses.items()]
        try:
            yield
        finally:
            self._is_watching = False
            for handle in handles:
                handle.remove()

    def tap(self, name: str, signals: Signals) -> Signals:
        """Return the signals of a term, with logits whose gradient is the term's where terms are watched."""
        if not self._is_watching:
            return signals
        return signals | {key: self._tapped(name, signals[key]) for key in _LOGITS if key in signals}

    def report(self) -> None:
        """Log the shares of the terms that were watched, if there are several and one has less than a tenth."""
        if self._squares:
            self._log({name: sum(float(x) for x in parts) ** 0.5 for name, parts in self._squares.items()}, "logits")
            self._squares = {}

    def measure(self, norms: Callable[[], Mapping[str, float]]) -> None:
        """Log the shares in the first batch from norms with respect to hidden states; otherwise do nothing."""
        if self._is_first:
            self._is_first = False
            self._log(norms(), "hidden states")

    def _log(self, norms: Mapping[str, float], place: str) -> None:
        self.norms = dict(norms)
        message = describe_shares(shares_of(norms), place)
        if message:
            rank_zero_info(message)

    def _hook(self, name: str, loss: nn.Module) -> RemovableHandle:
        def tap(_: nn.Module, args: tuple[object, ...], signals: Signals) -> tuple[tuple[object, ...], Signals]:
            return args, self.tap(name, signals)

        return loss.register_forward_pre_hook(tap, with_kwargs=True)

    def _tapped(self, name: str, logits: Tensor) -> Tensor:
        if not logits.requires_grad:
            return logits
        alias = logits.view_as(logits)
        found = self._squares.setdefault(name, [])

        def look(gradient: Tensor) -> None:
            found.append(whole(gradient.detach().float().square().sum()))

        alias.register_hook(look)
        return alias


def shares_of(norms: Mapping[str, float]) -> dict[str, float]:
    """Divide norms by their sum; return nothing where that is no positive number, or there is one term alone."""
    total = sum(norms.values())
    if len(norms) < 2 or not 0.0 < total < math.inf:
        return {}
    return {name: norm / total for name, norm in norms.items()}


def describe_shares(shares: Mapping[str, float], place: str = "logits") -> str:
    """Write the shares of the terms as a line; return nothing where each is at least a tenth."""
    if not shares or min(shares.values()) >= _SMALL:
        return ""
    listed = ", ".join(f"{name} {100 * share:.{0 if share >= _SMALL else 1}f} %" for name, share in shares.items())
    return (
        f"Gradient of the first batch with respect to the student's {place}: {listed}. "
        "A term below 10 % hardly counts; weights and `scale_by_temperature` change that."
    )


def _losses_of(divergence: DistillationLoss | None) -> dict[str, DistillationLoss]:
    if isinstance(divergence, WeightedSum):
        return dict(divergence.losses.items())
    return {} if divergence is None else {"divergence": divergence}


def _is_compiled(loss: nn.Module) -> bool:
    return getattr(loss, "_compiled_call_impl", None) is not None
