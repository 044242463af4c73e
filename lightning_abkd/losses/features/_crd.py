"""Contrastive distillation of features."""

import torch
from torch import Tensor, nn

from lightning_abkd.losses._base import DistillationLoss, check_positive
from lightning_abkd.losses._divergence import wide
from lightning_abkd.losses.features._check import check_features


class CRD(DistillationLoss):
    """Contrasts each sample's features with memories of the other network's features of all samples (CRD).

    Tian et al. 2020, arXiv 1910.10699: a trained linear head on each side gives unit vectors v. With memories m of the
    other side, P = exp(v · m / T) / Z, K negatives and c = K / N, the value is the mean over the samples of
    -log P⁺ / (P⁺ + c) - Σ_k log c / (P⁻_k + c), summed over both sides. Z is fixed at the first batch to N times the
    mean. After a batch in training the memories of its samples move to the new vectors.

    Memories, Z and classes seen so far are buffers. Processes exchange the new vectors of their samples, equally many
    on each, so that the memory is the same everywhere. Micro-batches see what the earlier ones of their step have
    written. The negatives are drawn anew for each batch and shared by its samples, which the released code draws one by
    one: K times the memory of a batch for the same mean. Samples of the same class are no negatives as soon as their
    class has been seen, given `labels`.

    Args:
        n_data: Number N of samples that `index` counts: all stored training files, held out ones included.
        student_dim: Size of the student's features.
        teacher_dim: Size of the teacher's features.
        dim: Size of the vectors v.
        negatives: Number K of negatives.
        temperature: T > 0.
        momentum: Weight of the past in a memory, in [0, 1).
        seed: Seed of the first memories and of the negatives; a resumed run draws on.

    Raises:
        ValueError: If a number is outside its range.

    Example:
        >>> loss = CRD(n_data=50, student_dim=3, teacher_dim=4, negatives=8)
        >>> loss(torch.ones(2, 3), torch.ones(2, 4), index=torch.tensor([7, 30])).shape
        torch.Size([])
    """

    student_memory: Tensor
    teacher_memory: Tensor
    classes: Tensor
    log_z: Tensor

    def __init__(
        self,
        n_data: int,
        student_dim: int,
        teacher_dim: int,
        dim: int = 128,
        negatives: int = 16384,
        temperature: float = 0.07,
        momentum: float = 0.5,
        seed: int = 0,
    ) -> None:
        positive = {"n_data": n_data, "student_dim": student_dim, "teacher_dim": teacher_dim, "dim": dim}
        for name, value in (positive | {"negatives": negatives, "temperature": temperature}).items():
            check_positive(name, value)
        if not 0.0 <= momentum < 1.0:
            raise ValueError(f"Parameter `momentum` should lie in [0, 1). Found `momentum = {momentum}`.")
        super().__init__()
        self.n_data, self.negatives, self.temperature, self.momentum = n_data, negatives, temperature, momentum
        self.student_head, self.teacher_head = nn.Linear(student_dim, dim), nn.Linear(teacher_dim, dim)
        self.seed, self._batches = seed, 0
        generator, bound = torch.Generator().manual_seed(seed), (3.0 / dim) ** 0.5
        for name in ("student_memory", "teacher_memory"):
            self.register_buffer(name, bound * (2.0 * torch.rand(n_data, dim, generator=generator) - 1.0))
        self.register_buffer("classes", torch.full((n_data,), -1))
        self.register_buffer("log_z", torch.full((2,), torch.inf))

    def forward(
        self, student_features: Tensor, teacher_features: Tensor, index: Tensor, labels: Tensor | None = None
    ) -> Tensor:
        """Compute the loss of a batch and, in training, write its vectors into the memories.

        Args:
            student_features: Shape (B, student_dim).
            teacher_features: Shape (B, teacher_dim).
            index: Position of each sample among the N, shape (B,).
            labels: Class indices, shape (B,); None takes every other sample for a negative.

        Returns:
            Scalar.

        Raises:
            ValueError: If a shape does not fit, or a position is not below `n_data`.
        """
        check_features(student_features, "student", self.student_head.in_features)
        check_features(teacher_features, "teacher", self.teacher_head.in_features)
        self._check_index(index)
        heads = (self.student_head, student_features), (self.teacher_head, teacher_features)
        student, teacher = (nn.functional.normalize(wide(head(x.to(head.weight.dtype)))) for head, x in heads)
        drawn = self._draw(index.device)
        same = drawn == index.unsqueeze(1)
        if labels is not None:
            same = same | (self.classes[drawn] == labels.unsqueeze(1))
        pairs = (student, self.teacher_memory), (teacher, self.student_memory)
        scores = torch.stack([self._scores(vectors, memory, index, drawn) for vectors, memory in pairs])
        scores = (scores - self._fixed_log_z(scores).view(2, 1, 1)).exp()
        loss = torch.stack([contrast(side, self.negatives / self.n_data, same).mean() for side in scores]).sum()
        if self.training:
            self._remember(student, teacher, index, labels)
        return loss

    def get_extra_state(self) -> Tensor:
        """Save the number of training batches."""
        return torch.tensor(self._batches)

    def set_extra_state(self, state: Tensor) -> None:
        """Restore the number of training batches."""
        self._batches = int(state)

    def _check_index(self, index: Tensor) -> None:
        # On a device every look waits for it.
        if (index.device.type == "cpu" or self._batches == 0) and index.numel() and int(index.max()) >= self.n_data:
            raise ValueError(
                f"Parameter `n_data` should be the number of stored training samples. Found `n_data = {self.n_data}` "
                f"and the position {int(index.max())}."
            )

    def _draw(self, device: torch.device) -> Tensor:
        generator = torch.Generator(device).manual_seed(1_000_003 * (self.seed + 1) + self._batches)
        return torch.randint(self.n_data, (self.negatives,), generator=generator, device=device)

    def _scores(self, vectors: Tensor, memory: Tensor, index: Tensor, drawn: Tensor) -> Tensor:
        """Compute v · m / T of the positive and of the negatives, shape (B, 1 + K)."""
        positive, negative = (memory[chosen].to(vectors.dtype) for chosen in (index, drawn))
        products = torch.cat([(vectors * positive).sum(1, keepdim=True), vectors @ negative.T], 1)
        return products / self.temperature

    @torch.no_grad()
    def _fixed_log_z(self, scores: Tensor) -> Tensor:
        """Give log Z of both sides, from this batch of all processes if it is the first."""
        if self._batches > 0:
            return self.log_z
        mean = scores.exp().mean((1, 2)).unsqueeze(0)
        log_z = (self.n_data * (_of_all_processes(mean) if self.training else mean).mean(0)).log()
        if self.training:
            self.log_z.copy_(log_z)
        return log_z

    @torch.no_grad()
    def _remember(self, student: Tensor, teacher: Tensor, index: Tensor, labels: Tensor | None) -> None:
        self._batches += 1
        index = _of_all_processes(index)
        for memory, vectors in (self.student_memory, student), (self.teacher_memory, teacher):
            moved = torch.lerp(_of_all_processes(vectors).to(memory.dtype), memory[index], self.momentum)
            memory[index] = nn.functional.normalize(moved)
        if labels is not None:
            self.classes[index] = _of_all_processes(labels)


def contrast(scores: Tensor, ratio: float, same: Tensor | None = None) -> Tensor:
    """Compute the contrastive loss of each sample, shape (B,).

    Args:
        scores: P of the positive and of the K negatives, shape (B, 1 + K).
        ratio: K / N.
        same: Boolean, shape (B, K), True where a negative does not count; None counts all.

    Returns:
        -log P⁺ / (P⁺ + ratio) - Σ_k log ratio / (P⁻_k + ratio), with the released 1e-7 in the denominators.
    """
    positive, negative = scores[:, 0], scores[:, 1:]
    of_negatives = torch.log(ratio / (negative + ratio + 1e-7))
    if same is not None:
        of_negatives = of_negatives.masked_fill(same, 0.0)
    return -torch.log(positive / (positive + ratio + 1e-7)) - of_negatives.sum(1)


def _of_all_processes(rows: Tensor) -> Tensor:
    """Join the rows of all processes, equally many on each, in the order of ranks."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return rows
    joined = [torch.empty_like(rows) for _ in range(torch.distributed.get_world_size())]
    torch.distributed.all_gather(joined, rows.contiguous())
    return torch.cat(joined)
