"""Numbers of what lies in this folder, by names that version 0.1.0 has too; what it measured is in numbers.json.

Networks compute in float64 and their numbers are rounded to float32, so that they are the same bits on every machine,
in whatever order it adds. Each function is called in a copy of the folder, where the relative paths lead on.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import torch
from lightning.pytorch import LightningDataModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from lightning_abkd.data import DigitsDataModule, InstructionDataModule
from lightning_abkd.losses import CRD, TAID, DistillationLoss, WeightedSum
from lightning_abkd.models import SmallResNet, TeacherCache, causal_lm_from_config
from lightning_abkd.modules import AdaptiveOffPolicy, DistillationModule

Numbers = dict[str, float]
Vectors = DataLoader[tuple[Tensor, ...]]

# What the constructors of losses need; others are built from their defaults.
ARGUMENTS = {
    "CRD": {"n_data": 16, "student_dim": 4, "teacher_dim": 6},
    "ITRD": {"student_dim": 4, "teacher_dim": 6},
    "TAID": {"total_steps": 20},
}
GPT2: dict[str, int | float | str | bool] = {
    "n_layer": 2,
    "n_embd": 4,
    "n_head": 1,
    "n_positions": 224,
    "vocab_size": 384,
    "bos_token_id": 1,
    "eos_token_id": 1,
    "resid_pdrop": 0.0,
    "embd_pdrop": 0.0,
    "attn_pdrop": 0.0,
}


def digits_teacher() -> nn.Module:
    return SmallResNet(8, (4, 4, 8, 8), num_classes=10, in_channels=1)


def digits_student() -> nn.Module:
    return SmallResNet(8, (2, 2, 4, 4), num_classes=10, in_channels=1)


def digits() -> DigitsDataModule:
    return DigitsDataModule(batch_size=32, train_size=128)


def language_teacher() -> nn.Module:
    return causal_lm_from_config("gpt2", GPT2)


def instructions() -> InstructionDataModule:
    return InstructionDataModule(
        train_file="tasks.jsonl", max_length=224, max_prompt_length=200, batch_size=3, validation_fraction=0.25
    )


def vectors_teacher() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 5))


def vectors_student() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 5))


def vectors_loss() -> DistillationLoss:
    """Build a loss with parameters, a memory and a moving target."""
    crd = CRD(16, student_dim=4, teacher_dim=6, dim=3, negatives=8)
    return WeightedSum({"taid": TAID(20), "crd": crd}, {"crd": 0.25})


def vectors() -> Vectors:
    """Build a set of vectors with labels and positions."""
    inputs, index = torch.rand(16, 3, generator=torch.Generator().manual_seed(0)), torch.arange(16)
    return DataLoader(TensorDataset(inputs, index % 5, index), batch_size=8)


def rounded(values: Iterable[float | Tensor]) -> list[float]:
    return [torch.as_tensor(value, dtype=torch.float64).to(torch.float32).item() for value in values]


def trainer(epochs: int = 1, precision: Literal["32-true", "64-true"] = "32-true") -> Trainer:
    """Build a trainer that writes nothing."""
    return Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        precision=precision,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def validation(module: DistillationModule, data: LightningDataModule | Vectors) -> Numbers:
    """Measure all that a validation logs."""
    if module.teacher is not None:
        module.teacher.double()
    (logged,) = trainer(precision="64-true").validate(module, data, verbose=False)
    return dict(zip(logged, rounded(logged.values()), strict=True))


def live(module: DistillationModule) -> Numbers:
    """Read the live numbers of the divergence."""
    named = [] if module.divergence is None else module.divergence.named_buffers()
    return {name: buffer.item() for name, buffer in named if buffer.dim() == 0}


def state_of(policy: AdaptiveOffPolicy) -> dict[str, float | str | None]:
    """Read count, threshold and buffer of what chooses the student's data."""
    buffer = digest(*(tensor for sample in policy.buffer for tensor in sample))
    numbers: dict[str, float | str | None] = {"batches": policy.batches, "threshold": policy.threshold}
    return numbers | {"recorded": policy.recorded, "samples": len(policy.buffer), "buffer": buffer}


def logits(network: nn.Module) -> list[float]:
    """Compute the logits of two digits."""
    data = digits()
    data.setup("fit")
    images, _ = next(iter(data.val_dataloader()))
    with torch.no_grad():
        return rounded(network.eval().double()(images[:2].double()).flatten())


def digest(*tensors: Tensor) -> str:
    """Compute a short name of the bits of tensors."""
    whole = hashlib.sha256()
    for tensor in tensors:
        whole.update(tensor.detach().contiguous().view(torch.uint8).numpy().tobytes())
    return whole.hexdigest()[:16]


def hidden_digest(folder: str | Path) -> str:
    """Compute a short name of all hidden states of a teacher cache and of its output layer."""
    cache = TeacherCache(folder)
    return digest(cache.hidden(torch.arange(len(cache.token_counts))), cache.head().weight)


def top_k_digest(folder: str | Path) -> str:
    """Compute a short name of all ids of a teacher cache."""
    cache = TeacherCache(folder)
    ids, _ = cache.top_k(torch.arange(len(cache.token_counts)))
    return digest(ids)
