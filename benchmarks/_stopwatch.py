"""A clock that divides each training step among teacher, student, loss and the rest."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from _training import Clock


class Stopwatch(Clock):
    """Parts each step among teacher, student (forward and backward), heads and loss, and the rest."""

    def __init__(self, device: str) -> None:
        super().__init__(device)
        self.marks: dict[str, float] = {}
        self.parts = dict.fromkeys(("teacher", "student", "loss", "step"), 0.0)

    @contextmanager
    def on(self, teacher: nn.Module, student: nn.Module) -> Iterator[None]:
        """Time two networks, without their output layers if they have a backbone."""
        handles = [p.register_post_accumulate_grad_hook(lambda _: self._mark("done")) for p in student.parameters()]
        handles += self._watch("teacher", teacher) + self._watch("student", student)
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _watch(self, name: str, network: nn.Module) -> list[RemovableHandle]:
        part = getattr(network, "base_model", network)
        return [
            part.register_forward_pre_hook(lambda *_: self._mark(f"{name} begins")),
            part.register_forward_hook(partial(self._on_output, name)),
        ]

    def _mark(self, name: str) -> None:
        if self.device != "cpu":
            torch.cuda.synchronize()
        self.marks[name] = time.perf_counter()

    def _on_output(self, name: str, module: nn.Module, inputs: object, output: object) -> None:
        self._mark(f"{name} ends")
        hidden = getattr(output, "last_hidden_state", output)
        if isinstance(hidden, Tensor) and hidden.requires_grad:
            hidden.register_hook(lambda _: self._mark("gradient"))

    def lap(self) -> None:
        """Add up the parts of a step but the first."""
        previous = self.marks.get("lap")
        self._mark("lap")
        if previous is None:
            return
        at = self.marks
        self.parts["teacher"] += at["teacher ends"] - at["teacher begins"]
        self.parts["student"] += at["student ends"] - at["student begins"] + at["done"] - at["gradient"]
        self.parts["loss"] += at["gradient"] - max(at["teacher ends"], at["student ends"])
        self.parts["step"] += at["lap"] - previous

    def shares(self) -> list[str]:
        """Return the share of each part, the rest last."""
        shares = [self.parts[name] / self.parts["step"] for name in ("teacher", "student", "loss")]
        return [f"{100 * share:.0f} %" for share in (*shares, 1.0 - sum(shares))]
