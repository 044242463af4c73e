"""Contrastive distillation of features."""

import torch
from torch import Tensor, nn

from lightning_abkd._utils import check_interval, check_positive
from lightning_abkd.distributed import gather_rows
from lightning_abkd.functional import promote_to_float32
from lightning_abkd.losses._base import DistillationLoss, class_indices
from lightning_abkd.losses.features._check import check_features


class CRD(DistillationLoss):
    r"""Contrasts each sample's features with memories of the other network's features of all samples (CRD).

    Paper: Tian et al. 2020, arXiv 1910.10699. A trained linear head on each side gives unit vectors v, and each side
    has a memory m of the vectors of all N samples.

    .. math::

        L = \sum_{\text{sides}} \frac{1}{B} \sum_{b=1}^{B} \Big[ -\log \frac{P^+_b}{P^+_b + K/N}
            - \sum_{k=1}^{K} \log \frac{K/N}{P^-_{bk} + K/N} \Big], \qquad P = \frac{1}{Z} \exp \frac{v \cdot m}{T}

    where:

    - P⁺, P⁻ -> P of a sample's vector v and the other side's memories m: that of the sample itself, and those of K
      negatives.
    - N -> `n_data`, K -> `negatives`; the paper uses K = 16384.
    - T -> `temperature`: greater than 0; the paper uses 0.07.
    - Z: N times the mean of exp(v · m / T) over the first batch, constant from then on; each side has its own.

    After a batch in training the memories of its samples move to the new vectors, with the weight `momentum` for the
    old ones. Memories, Z and classes seen so far are buffers. Processes exchange the new vectors of their samples, so
    that the memory is the same everywhere; each process must have the same number of samples. Micro-batches see what
    the earlier ones of their step have written.

    Each batch draws K negatives that all its samples share. The released code draws K per sample: the same expectation
    for K times the memory of a batch. With `labels`, samples of the same class are not used as negatives once their
    class has been seen.

    Args:
        n_data: Number N of samples that `index` refers to: all stored training files, the held-out ones included.
        student_dim: Size of the student's features.
        teacher_dim: Size of the teacher's features.
        dim: Size of the vectors v.
        negatives: Number K of negatives.
        temperature: T > 0.
        momentum: Weight of the past in a memory, in [0, 1); the paper uses 0.5.
        seed: Seed of the first memories and of the negatives; a resumed run continues the draws.

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
        check_positive("n_data", n_data)
        check_positive("student_dim", student_dim)
        check_positive("teacher_dim", teacher_dim)
        check_positive("dim", dim)
        check_positive("negatives", negatives)
        check_positive("temperature", temperature)
        check_interval("momentum", momentum, "[0, 1)")
        super().__init__()
        self.n_data = n_data
        self.negatives = negatives
        self.temperature = temperature
        self.momentum = momentum
        self.seed = seed
        self._batches = 0
        self.student_head = nn.Linear(student_dim, dim)
        self.teacher_head = nn.Linear(teacher_dim, dim)
        generator = torch.Generator().manual_seed(seed)
        self.register_buffer("student_memory", _first_memory(n_data, dim, generator))
        self.register_buffer("teacher_memory", _first_memory(n_data, dim, generator))
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
            labels: Class indices, shape (B,), -100 where there is none; None allows every other sample as a negative.

        Returns:
            Scalar.

        Raises:
            ValueError: If a shape does not fit, labels are probabilities, or a position is not below `n_data`.
        """
        check_features(student_features, "student", self.student_head.in_features)
        check_features(teacher_features, "teacher", self.teacher_head.in_features)
        self._check_index(index)
        labels = None if labels is None else class_indices(labels, student_features, "CRD")
        student = _unit_vectors(self.student_head, student_features)
        teacher = _unit_vectors(self.teacher_head, teacher_features)
        drawn = self._draw(index.device)
        excluded = self._excluded(drawn, index, labels)
        of_student = self._scores(student, self.teacher_memory, index, drawn)
        of_teacher = self._scores(teacher, self.student_memory, index, drawn)
        scores = torch.stack([of_student, of_teacher])
        scores = (scores - self._fixed_log_z(scores).view(2, 1, 1)).exp()
        loss = torch.stack([contrast(side, self.negatives / self.n_data, excluded).mean() for side in scores]).sum()
        if self.training:
            self._remember(student, teacher, index, labels)
        return loss

    def get_extra_state(self) -> Tensor:
        """Return the number of training batches, to be saved."""
        return torch.tensor(self._batches)

    def set_extra_state(self, state: Tensor) -> None:
        """Restore the number of training batches."""
        self._batches = int(state)

    def _check_index(self, index: Tensor) -> None:
        # Reading from a device synchronises with it, so there only the first batch is checked.
        if (index.device.type == "cpu" or self._batches == 0) and index.numel() and int(index.max()) >= self.n_data:
            raise ValueError(
                f"Parameter `n_data` should be the number of stored training samples. Found `n_data = {self.n_data}` "
                f"and the position {int(index.max())}."
            )

    def _draw(self, device: torch.device) -> Tensor:
        """Draw the positions (K,) of the negatives."""
        generator = torch.Generator(device).manual_seed(1_000_003 * (self.seed + 1) + self._batches)
        return torch.randint(self.n_data, (self.negatives,), generator=generator, device=device)

    def _excluded(self, drawn: Tensor, index: Tensor, labels: Tensor | None) -> Tensor:
        """Return True, shape (B, K), where a negative is the sample itself or known to be of its class."""
        itself = drawn == index.unsqueeze(1)
        if labels is None:
            return itself
        # Samples without a label (-100) are of no common class.
        return itself | ((self.classes[drawn] == labels.unsqueeze(1)) & (labels >= 0).unsqueeze(1))

    def _scores(self, vectors: Tensor, memory: Tensor, index: Tensor, drawn: Tensor) -> Tensor:
        """Compute v · m / T of the positive and of the negatives, shape (B, 1 + K)."""
        positive = memory[index].to(vectors.dtype)
        negative = memory[drawn].to(vectors.dtype)
        products = torch.cat([(vectors * positive).sum(1, keepdim=True), vectors @ negative.T], 1)
        return products / self.temperature

    @torch.no_grad()
    def _fixed_log_z(self, scores: Tensor) -> Tensor:
        """Return log Z of both sides, computed from the first batch of all processes."""
        if self._batches > 0:
            return self.log_z
        means = scores.exp().mean(2).T
        log_z = (self.n_data * (gather_rows(means) if self.training else means).mean(0)).log()
        if self.training:
            self.log_z.copy_(log_z)
        return log_z

    @torch.no_grad()
    def _remember(self, student: Tensor, teacher: Tensor, index: Tensor, labels: Tensor | None) -> None:
        self._batches += 1
        index = gather_rows(index)
        for memory, vectors in (self.student_memory, student), (self.teacher_memory, teacher):
            moved = torch.lerp(gather_rows(vectors).to(memory.dtype), memory[index], self.momentum)
            memory[index] = nn.functional.normalize(moved)
        if labels is not None:
            self.classes[index] = gather_rows(labels)


def contrast(scores: Tensor, ratio: float, excluded: Tensor | None = None) -> Tensor:
    """Compute the contrastive loss of each sample, shape (B,).

    Args:
        scores: P of the positive and of the K negatives, shape (B, 1 + K).
        ratio: K / N.
        excluded: Boolean, shape (B, K), True where a negative does not count; None counts all.

    Returns:
        -log P⁺ / (P⁺ + ratio) - Σ_k log ratio / (P⁻_k + ratio), with the released 1e-7 in the denominators.
    """
    positive = scores[:, 0]
    of_negatives = torch.log(ratio / (scores[:, 1:] + ratio + 1e-7))
    if excluded is not None:
        of_negatives = of_negatives.masked_fill(excluded, 0.0)
    return -torch.log(positive / (positive + ratio + 1e-7)) - of_negatives.sum(1)


def _first_memory(n_data: int, dim: int, generator: torch.Generator) -> Tensor:
    """Draw vectors (N, dim) of mean squared length 1."""
    bound: float = (3.0 / dim) ** 0.5
    return bound * (2.0 * torch.rand(n_data, dim, generator=generator) - 1.0)


def _unit_vectors(head: nn.Linear, features: Tensor) -> Tensor:
    vectors: Tensor = nn.functional.normalize(promote_to_float32(head(features.to(head.weight.dtype))))
    return vectors
