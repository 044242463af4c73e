"""A task of your own, one class per pixel instead of one per image: python examples/own_task.py.

A small network learns from a larger one which pixels of a noisy image lie in a disc. A subclass overrides what differs
from classification: how a batch becomes named tensors, the loss on the labels, and what is measured.
"""

import torch
from lightning.pytorch import Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics import JaccardIndex, MetricCollection

from lightning_abkd import AlphaBetaDivergence, DistillationModule


class Segmentation(DistillationModule):
    """Takes images (B, 1, H, W) and maps of labels (B, H, W), in which -100 does not count."""

    def signals(self, batch: tuple[Tensor, ...]) -> dict[str, Tensor]:
        """Make each pixel a position, with the classes last, and mask those without a label."""
        signals = super().signals(batch)
        labels = signals.pop("labels").flatten()
        logits = {name: maps.movedim(1, -1).flatten(0, -2) for name, maps in signals.items()}
        return logits | {"labels": labels, "mask": labels != -100}

    def task_loss(self, signals: dict[str, Tensor]) -> Tensor:
        """Compute the cross-entropy of the labelled pixels; those in a disc are fewer and count three times."""
        weights = torch.tensor([1.0, 3.0])
        return nn.functional.cross_entropy(signals["student_logits"], signals["labels"], weights)

    def metrics(self, classes: int) -> MetricCollection:
        """Measure how much of the discs overlaps."""
        return MetricCollection({"overlap": JaccardIndex("multiclass", num_classes=classes, ignore_index=-100)})


def discs(count: int, side: int = 16) -> DataLoader[tuple[Tensor, ...]]:
    """Draw images of one noisy disc each, without labels along its edge."""
    grid = torch.stack(torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij"))
    distances = (grid - side * torch.rand(count, 2, 1, 1)).norm(dim=1) - side / 4
    inside = (distances < 0).long()
    images = inside.unsqueeze(1) + torch.randn(count, 1, side, side)
    return DataLoader(TensorDataset(images, torch.where(distances.abs() < 0.5, -100, inside)), batch_size=16)


def train(module: DistillationModule) -> None:
    """Train for three epochs, and test on other images."""
    trainer = Trainer(max_epochs=3, accelerator="cpu", logger=False, enable_checkpointing=False)
    trainer.fit(module, discs(256))
    trainer.test(module, discs(64))


if __name__ == "__main__":
    torch.manual_seed(0)
    teacher = nn.Sequential(nn.Conv2d(1, 32, 7, padding=3), nn.ReLU(), nn.Conv2d(32, 2, 5, padding=2))
    student = nn.Sequential(nn.Conv2d(1, 4, 7, padding=3), nn.ReLU(), nn.Conv2d(4, 2, 5, padding=2))
    train(Segmentation(student=teacher))
    train(Segmentation(teacher, student, AlphaBetaDivergence(0.8, 0.3), task_weight=0.1))
