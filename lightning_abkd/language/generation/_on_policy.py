"""Training on what the student itself writes."""

from collections import deque
from collections.abc import Callable
from typing import Literal, TypedDict

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from lightning_abkd.language.data import IGNORE_INDEX
from lightning_abkd.language.generation._generation import Sampling

Batch = dict[str, Tensor]


class _State(TypedDict, total=False):
    batches: int
    threshold: float
    recorded: float | None
    buffer: list[tuple[Tensor, Tensor]]


class OnPolicy(nn.Module):
    """A fraction of the batches has its responses written by the student (GKD; ImitKD at 1).

    Agarwal et al. 2024 (GKD), arXiv 2306.13649: the student learns from the teacher's distributions on its own
    responses. What is drawn depends on the seed and the count of batches, which is in the checkpoint, so that a resumed
    run goes on as it would have.

    Args:
        fraction: Share of the batches in [0, 1]; GKD's λ, 0.5 there.
        sampling: How the student responds; None takes temperature 1 and up to 256 tokens.
        seed: Seed of the draws.

    Raises:
        ValueError: If `fraction` is outside [0, 1].
    """

    def __init__(self, fraction: float = 0.5, sampling: Sampling | None = None, seed: int = 0) -> None:
        _check_share("fraction", fraction)
        super().__init__()
        self.threshold, self.sampling, self.seed = fraction, sampling or Sampling(), seed
        self.batches = 0

    def forward(self, batch: Batch, progress: float, respond: Callable[[Batch, Sampling, int], Batch]) -> Batch:
        """Choose what a training batch becomes.

        Args:
            batch: Batch of the data.
            progress: Share of the training that is done, in [0, 1].
            respond: Gives the batch with the student's responses, drawn in a way and with a seed.
        """
        generator = torch.Generator().manual_seed(self.seed + self.batches)
        self.batches += 1
        draw = torch.rand((), generator=generator).item()
        return self._choose(
            batch, draw, progress, generator, lambda x: respond(x, self.sampling, self.seed + self.batches)
        )

    def _choose(
        self,
        batch: Batch,
        draw: float,
        progress: float,
        generator: torch.Generator,
        respond: Callable[[Batch], Batch],
    ) -> Batch:
        return respond(batch) if draw < self.threshold else batch

    def validated(self, loss: float) -> None:
        """Take note of the cross-entropy on the validation set."""

    def get_extra_state(self) -> _State:
        """Give what a checkpoint keeps."""
        return {"batches": self.batches}

    def set_extra_state(self, state: _State) -> None:
        """Take up what a checkpoint kept."""
        self.batches = state["batches"]


class AdaptiveOffPolicy(OnPolicy):
    """DistiLLM's adaptive use of student-generated data, with a replay buffer.

    Ko et al. 2024, arXiv 2402.03898. A threshold φ grows by `step` at each validation whose cross-entropy is not below
    the last recorded one plus `tolerance`; that one is recorded then, and φ never falls. For each batch r is drawn
    uniformly: below φ · (1 - progress), or below φ while the buffer is short, the student responds and its responses
    enter the buffer; from there to φ the batch comes out of the buffer; else it is the data's. At φ = 0, where it
    starts, all batches are the data's.

    In the released code the mask of generated responses is one token late and taken from the data's batch; here labels
    are those of the responses themselves, shifted where all labels are. Buffer and threshold are in the checkpoint; in
    distributed training each rank has its own buffer, and a resumed run starts from the first rank's.

    Args:
        threshold: φ at the start, in [0, 1]; 0 in the paper.
        step: Growth of φ.
        tolerance: What the cross-entropy may rise before φ grows, in nats.
        capacity: Samples in the buffer, at least 1; the oldest go first.
        replay: Share of φ that is generated afresh: "decreasing" (1 - progress), "increasing" (progress) or "constant"
            (one half).
        sampling: How the student responds; None takes temperature 1 and up to 256 tokens.
        seed: Seed of the draws.

    Raises:
        ValueError: If an argument is outside its range.
    """

    def __init__(
        self,
        threshold: float = 0.0,
        step: float = 0.1,
        tolerance: float = 0.1,
        capacity: int = 1000,
        replay: Literal["decreasing", "increasing", "constant"] = "decreasing",
        sampling: Sampling | None = None,
        seed: int = 0,
    ) -> None:
        _check_share("threshold", threshold)
        _check_share("step", step)
        if not 0.0 <= tolerance < float("inf"):
            raise ValueError(f"Parameter `tolerance` should be finite and at least 0. Found `tolerance = {tolerance}`.")
        if capacity < 1:
            raise ValueError(f"Parameter `capacity` should be at least 1. Found `capacity = {capacity}`.")
        if replay not in ("decreasing", "increasing", "constant"):
            raise ValueError(
                f"Parameter `replay` should be 'decreasing', 'increasing' or 'constant'. Found `replay = {replay!r}`."
            )
        super().__init__(threshold, sampling, seed)
        self.step, self.tolerance, self.capacity, self.replay = step, tolerance, capacity, replay
        self.recorded: float | None = None
        self.buffer: deque[tuple[Tensor, Tensor]] = deque(maxlen=capacity)

    def validated(self, loss: float) -> None:
        """Take note of the cross-entropy on the validation set: raise the threshold if it has risen."""
        if self.recorded is None:
            self.recorded = loss
        elif loss >= self.recorded + self.tolerance:
            self.threshold, self.recorded = min(1.0, self.threshold + self.step), loss

    def _choose(
        self,
        batch: Batch,
        draw: float,
        progress: float,
        generator: torch.Generator,
        respond: Callable[[Batch], Batch],
    ) -> Batch:
        share = {"decreasing": 1.0 - progress, "increasing": progress, "constant": 0.5}[self.replay]
        if draw >= self.threshold:
            return batch
        if draw < self.threshold * share or len(self.buffer) < self.capacity:
            batch = respond(batch)
            self._remember(batch)
            return batch
        order = torch.randperm(len(self.buffer), generator=generator)[: len(batch["input_ids"])].tolist()
        return self._batch([self.buffer[i] for i in order], batch["input_ids"].device)

    def _remember(self, batch: Batch) -> None:
        """Put the samples of a batch into the buffer, small and in the processor's memory."""
        mask = batch["attention_mask"].bool()
        for ids, labels, keep in zip(batch["input_ids"], batch["labels"], mask, strict=True):
            self.buffer.append((ids[keep].to("cpu", torch.int32), labels[keep].to("cpu", torch.int32)))

    @staticmethod
    def _batch(samples: list[tuple[Tensor, Tensor]], device: torch.device) -> Batch:
        ids, labels = zip(*samples, strict=True)
        padded = {
            "input_ids": pad_sequence(list(ids), batch_first=True),
            "attention_mask": pad_sequence([torch.ones_like(row) for row in ids], batch_first=True),
            "labels": pad_sequence(list(labels), batch_first=True, padding_value=IGNORE_INDEX),
        }
        return {name: value.to(device, torch.int64) for name, value in padded.items()}

    def get_extra_state(self) -> _State:
        """Give what a checkpoint keeps: counts, threshold and buffer."""
        numbers: _State = {"batches": self.batches, "threshold": self.threshold, "recorded": self.recorded}
        return numbers | {"buffer": list(self.buffer)}

    def set_extra_state(self, state: _State) -> None:
        """Take up what a checkpoint kept."""
        self.batches, self.threshold, self.recorded = state["batches"], state["threshold"], state["recorded"]
        self.buffer = deque(state["buffer"], maxlen=self.capacity)


def _check_share(name: str, value: float) -> None:
    if not 0.0 <= value <= 1.0:
        raise ValueError(f"Parameter `{name}` should lie in [0, 1]. Found `{name} = {value}`.")
