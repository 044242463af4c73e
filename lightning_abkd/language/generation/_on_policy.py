"""Training on what the student itself writes."""

from collections import deque
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Literal, TypedDict, get_args

import torch
from torch import Tensor, nn

from lightning_abkd._utils import check_at_least, check_choice, check_interval
from lightning_abkd.distributed import sum_over_ranks
from lightning_abkd.language.data import pad_batch
from lightning_abkd.language.generation._sampling import Sampling, seed_of_stream

Batch = dict[str, Tensor]
Replay = Literal["decreasing", "increasing", "constant"]

# The draws of a batch: whether it is replaced, and the student's responses.
_CHOICE = 1
_RESPONSE = 2


class _State(TypedDict, total=False):
    batches: int
    threshold: float
    recorded: float | None
    buffer: list[tuple[Tensor, Tensor]]


class OnPolicy(nn.Module):
    """Replaces the responses of a fraction of the batches by the student's own (GKD; ImitKD at 1).

    Agarwal et al. 2024 (GKD), arXiv 2306.13649: the student learns from the teacher's distributions on its own
    responses. Draws depend on the seed and on the number of batches so far, which checkpoints keep: a resumed run
    draws what an uninterrupted one would, and another fit of the same module starts anew.

    Args:
        fraction: Share of the batches in [0, 1]; GKD's λ, 0.5 there.
        sampling: How the student responds; None takes temperature 1 and up to 256 tokens.
        seed: Seed of the draws.

    Raises:
        ValueError: If `fraction` is outside [0, 1].

    Example:
        >>> policy = OnPolicy(fraction=1.0, sampling=Sampling(max_new_tokens=64))
        >>> policy({"input_ids": torch.zeros(1, 2)}, 0.0, lambda batch, sampling, seed: {"own": torch.ones(1)})
        {'own': tensor([1.])}
    """

    def __init__(self, fraction: float = 0.5, sampling: Sampling | None = None, seed: int = 0) -> None:
        check_interval("fraction", fraction, "[0, 1]")
        super().__init__()
        self.threshold = fraction
        self.sampling = sampling or Sampling()
        self.seed = seed
        self.batches = 0

    def forward(self, batch: Batch, progress: float, respond: Callable[[Batch, Sampling, int], Batch]) -> Batch:
        """Return the batch to train on: the given one, or one with responses of the student.

        Args:
            batch: Batch of the data.
            progress: Share of the training that is done, in [0, 1].
            respond: Function of a batch, a sampling and a seed that returns the batch with the student's responses.
        """
        own = seed_of_stream(self.seed, self.batches)
        self.batches += 1
        generator = torch.Generator().manual_seed(seed_of_stream(own, _CHOICE))
        seed = seed_of_stream(own, _RESPONSE)
        return self._choose(batch, progress, generator, lambda given: respond(given, self.sampling, seed))

    def restart(self) -> None:
        """Forget what has been drawn, for a fit that starts anew; a checkpoint that is resumed restores it."""
        self.batches = 0

    def _choose(
        self, batch: Batch, progress: float, generator: torch.Generator, respond: Callable[[Batch], Batch]
    ) -> Batch:
        return respond(batch) if _uniform(generator) < self.threshold else batch

    def validated(self, loss: float) -> None:
        """Receive the cross-entropy of a validation, for policies that adapt to it."""

    def get_extra_state(self) -> _State:
        """Return what a checkpoint keeps."""
        return {"batches": self.batches}

    def set_extra_state(self, state: _State) -> None:
        """Restore what a checkpoint kept."""
        self.batches = state["batches"]

    def state_of_rank(self, states: Sequence[_State], rank: int, ranks: int) -> _State:
        """Return the state with which a rank goes on from those of all ranks that wrote a checkpoint."""
        return states[rank if len(states) == ranks else 0]


class AdaptiveOffPolicy(OnPolicy):
    """DistiLLM's adaptive use of student-generated data, with a replay buffer.

    Ko et al. 2024, arXiv 2402.03898. A threshold φ starts at `threshold` and never falls. It grows by `step` at each
    validation whose cross-entropy is at least the last recorded one plus `tolerance`, and this cross-entropy is then
    recorded. For each batch, r is drawn uniformly from [0, 1):

    - r < φ · share, or r < φ while the buffer is not full: the student responds, and its responses enter the buffer.
      The share is 1 - progress, or as `replay` sets it.
    - r < φ otherwise: the batch is drawn from the buffer.
    - r ≥ φ: the batch of the data stays as it is. At φ = 0 every batch does.

    In the released code the mask of generated responses is one token late and taken from the data's batch. Here labels
    are those of the responses themselves, shifted where all labels are shifted. In distributed training each rank has
    its own buffer. Checkpoints keep threshold and buffers; on another number of ranks, the samples are dealt out again.

    Args:
        threshold: φ at the start, in [0, 1]; 0 in the paper.
        step: Growth of φ, in [0, 1].
        tolerance: Rise of the cross-entropy at which φ grows, in nats.
        capacity: Samples in the buffer, at least 1; the oldest leave first.
        replay: Share of φ for which responses are generated anew: "decreasing" (1 - progress), "increasing" (progress)
            or "constant" (one half).
        sampling: How the student responds; None takes temperature 1 and up to 256 tokens.
        seed: Seed of the draws.

    Raises:
        ValueError: If an argument is outside its range.

    Example:
        >>> policy = AdaptiveOffPolicy(step=0.1)
        >>> for loss in (2.0, 2.5):
        ...     policy.validated(loss)
        >>> policy.threshold
        0.1
    """

    def __init__(
        self,
        threshold: float = 0.0,
        step: float = 0.1,
        tolerance: float = 0.1,
        capacity: int = 1000,
        replay: Replay = "decreasing",
        sampling: Sampling | None = None,
        seed: int = 0,
    ) -> None:
        check_interval("threshold", threshold, "[0, 1]")
        check_interval("step", step, "[0, 1]")
        check_at_least("tolerance", tolerance, 0)
        check_at_least("capacity", capacity, 1)
        check_choice("replay", replay, get_args(Replay))
        super().__init__(threshold, sampling, seed)
        self._first_threshold = threshold
        self.step = step
        self.tolerance = tolerance
        self.capacity = capacity
        self.replay = replay
        self.recorded: float | None = None
        self.buffer: deque[tuple[Tensor, Tensor]] = deque(maxlen=capacity)

    def restart(self) -> None:
        """Forget what has been drawn, recorded and remembered, for a fit that starts anew."""
        super().restart()
        self.threshold = self._first_threshold
        self.recorded = None
        self.buffer.clear()

    def validated(self, loss: float) -> None:
        """Raise the threshold if the cross-entropy of a validation has risen by the tolerance."""
        if self.recorded is None:
            self.recorded = loss
        elif loss >= self.recorded + self.tolerance:
            self.threshold = min(1.0, self.threshold + self.step)
            self.recorded = loss

    def _choose(
        self, batch: Batch, progress: float, generator: torch.Generator, respond: Callable[[Batch], Batch]
    ) -> Batch:
        draw = _uniform(generator)
        if draw >= self.threshold:
            return batch
        share = {"decreasing": 1.0 - progress, "increasing": progress, "constant": 0.5}[self.replay]
        # Ranks respond together, because networks in pieces run on all of them or on none.
        is_filling = sum_over_ranks(batch["input_ids"].new_tensor(len(self.buffer) < self.capacity)) > 0
        if draw < self.threshold * share or is_filling:
            batch = respond(batch)
            self._remember(batch)
            return batch
        order = torch.randperm(len(self.buffer), generator=generator)[: len(batch["input_ids"])].tolist()
        return _replayed([self.buffer[i] for i in order], batch["input_ids"].device)

    def _remember(self, batch: Batch) -> None:
        """Put the samples of a batch into the buffer, without padding and as int32 on the CPU."""
        mask = batch["attention_mask"].bool()
        for ids, labels, keep in zip(batch["input_ids"], batch["labels"], mask, strict=True):
            self.buffer.append((ids[keep].to("cpu", torch.int32), labels[keep].to("cpu", torch.int32)))

    def get_extra_state(self) -> _State:
        """Return what a checkpoint keeps: counts, threshold and buffer."""
        numbers: _State = {"batches": self.batches, "threshold": self.threshold, "recorded": self.recorded}
        return numbers | {"buffer": list(self.buffer)}

    def set_extra_state(self, state: _State) -> None:
        """Restore what a checkpoint kept."""
        self.batches = state["batches"]
        self.threshold = state["threshold"]
        self.recorded = state["recorded"]
        self.buffer = deque(state["buffer"], maxlen=self.capacity)

    def state_of_rank(self, states: Sequence[_State], rank: int, ranks: int) -> _State:
        """Return the state of a rank; where their number has changed, the buffers of all are dealt out, oldest first.

        Example:
            >>> states = [{"buffer": ["a", "c"]}, {"buffer": ["b", "d"]}]
            >>> AdaptiveOffPolicy().state_of_rank(states, rank=0, ranks=1)
            {'buffer': ['a', 'b', 'c', 'd']}
        """
        if len(states) == ranks:
            return states[rank]
        aged = [(-age, sample) for state in states for age, sample in enumerate(reversed(state["buffer"]))]
        dealt = [sample for _, sample in sorted(aged, key=itemgetter(0))]
        return states[0] | {"buffer": dealt[rank::ranks]}


def _uniform(generator: torch.Generator) -> float:
    return torch.rand((), generator=generator).item()


def _replayed(samples: list[tuple[Tensor, Tensor]], device: torch.device) -> Batch:
    """Build a batch of samples from the buffer, ids and labels (T_i,) each."""
    ids = [ids.long() for ids, _ in samples]
    labels = [labels.long() for _, labels in samples]
    return {name: value.to(device) for name, value in pad_batch(ids, labels, padding=0).items()}
