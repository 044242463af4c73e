r"""A divergence of your own, with a number that a schedule moves: python examples/own_divergence.py.

A small network learns from a larger one to tell sectors of the plane apart, by Rényi's divergence
:math:`\log(\sum_v p_v^a q_v^{1-a}) / (a - 1)`, while its order a goes from 0.2 to 0.8.
"""

from functools import partial

import torch
from lightning.pytorch import Callback, Trainer
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset
from torchvision.ops import MLP

from lightning_abkd import DistillationModule, Divergence, HyperparameterScheduler
from lightning_abkd.schedules import Linear


class Renyi(Divergence):
    """Rényi's divergence. The base class adds temperature, mask, reduction and evaluation in chunks."""

    order: Tensor

    def __init__(self, order: float = 0.5, temperature: float = 1.0) -> None:
        super().__init__(temperature)
        # Registered as a buffer: checkpoints save it, and a schedule changes it in place.
        self.hyperparameter("order", order)

    def pointwise(self, log_p: Tensor, log_q: Tensor) -> Tensor:
        """Compute one value per position from log p of the teacher and log q of the student, shape (..., V)."""
        return (self.order * log_p + (1 - self.order) * log_q).logsumexp(-1) / (self.order - 1)


def train(module: DistillationModule, points: Tensor, labels: Tensor, callbacks: list[Callback]) -> None:
    """Train for ten epochs, and print the accuracy."""
    trainer = Trainer(max_epochs=10, accelerator="cpu", callbacks=callbacks, logger=False, enable_checkpointing=False)
    trainer.fit(module, DataLoader(TensorDataset(points, labels), batch_size=32, shuffle=True))
    right = (module(points).argmax(-1) == labels).float().mean()
    print(f"{right:.0%} of the points are put into the right sector.")


if __name__ == "__main__":
    torch.manual_seed(0)
    points = torch.randn(512, 2)
    labels = (torch.atan2(points[:, 0], points[:, 1]) / torch.pi * 2.5 + 2.5).long().clamp(max=4)
    adamw = partial(torch.optim.AdamW, lr=0.02)
    teacher = MLP(2, [64, 5])
    train(DistillationModule(student=teacher, optimizer=adamw), points, labels, [])

    renyi = Renyi(order=0.2)
    module = DistillationModule(teacher, MLP(2, [8, 5]), renyi, task_weight=0.0, optimizer=adamw)
    train(module, points, labels, [HyperparameterScheduler({"divergence.order": Linear(0.2, 0.8)})])
    print(f"The order is {renyi.order:.1f}, the divergence {renyi(module(points), teacher(points)):.3f}.")
