"""Small patients: images of four numbers in three classes, and texts of bytes."""

from collections.abc import Callable
from typing import Any

import torch
from lightning.pytorch import LightningDataModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from lightning_abkd.data import byte_tokenizer
from lightning_abkd.diagnostics.doctor._answers import Answers
from lightning_abkd.diagnostics.doctor._patient import Patient
from lightning_abkd.losses import AlphaBetaDivergence
from lightning_abkd.models import causal_lm_from_config
from lightning_abkd.modules import DistillationModule, LanguageDistillationModule

CLASSES, INPUTS = 3, 4
SIZES = {"n_layer": 1, "n_embd": 8, "n_head": 2, "vocab_size": 384, "n_positions": 64, "eos_token_id": 1}


class Sorter(nn.Module):
    """A teacher whose class is the place of the largest of the first three inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(5.0))

    def forward(self, inputs: Tensor) -> Tensor:
        """Compute logits (B, 3)."""
        return self.weight * inputs[:, :CLASSES]


def images(size: int = 96) -> tuple[Tensor, Tensor]:
    """Return inputs, and the classes that `Sorter` gives them."""
    inputs = torch.randn(size, INPUTS, generator=torch.Generator().manual_seed(0))
    return inputs, inputs[:, :CLASSES].argmax(1)


def module(**options: Any) -> DistillationModule:
    """Build a module of images."""
    given = {"teacher": Sorter(), "student": nn.Linear(INPUTS, CLASSES), "divergence": AlphaBetaDivergence(0.8, 0.3)}
    return DistillationModule(**{**given, **options})


class Texts(LightningDataModule):
    """Data with a tokenizer and no loaders."""

    def __init__(self) -> None:
        super().__init__()
        self.tokenizer = byte_tokenizer()


def gpt2(**options: Any) -> nn.Module:
    """Build a small network of bytes."""
    return causal_lm_from_config("gpt2", {**SIZES, **options})


def texts(rows: int = 2) -> dict[str, Tensor]:
    """Return a batch of three prompt tokens, four of a response and one of padding, different in each row."""
    ids = torch.arange(10, 17) + 7 * torch.arange(rows).unsqueeze(1)
    ids = torch.cat([ids, torch.zeros(rows, 1, dtype=torch.int64)], 1)
    mask = (ids != 0).long()
    labels = ids.masked_fill(mask == 0, -100)
    labels[:, :3] = -100
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def patient(model: DistillationModule | None = None, batch: Any = None) -> Patient:
    """Attach a module to a trainer, before its first step."""
    model = module() if model is None else model
    trainer = quiet()
    model.trainer = trainer
    if isinstance(model, LanguageDistillationModule):
        vars(trainer.fit_loop)["trainer"] = trainer
        trainer.datamodule = Texts()  # type: ignore[attr-defined]  # Lightning sets it in a fit
    return Patient(model, trainer, images() if batch is None else batch)


def reader(batch: dict[str, Tensor] | None = None, **options: Any) -> Patient:
    """Build a patient of texts."""
    model = LanguageDistillationModule(**{"teacher": gpt2(), "student": gpt2(), **options})
    return patient(model, texts() if batch is None else batch)


def quiet(**options: Any) -> Trainer:
    """Build a trainer that writes nothing."""
    given = {"accelerator": "cpu", "max_epochs": 2, "logger": False, "enable_checkpointing": False}
    return Trainer(**{**given, "enable_progress_bar": False, "enable_model_summary": False, **options})


def loader(size: int = 24, batch_size: int = 8) -> DataLoader[tuple[Tensor, ...]]:
    """Return a loader of images and classes."""
    return DataLoader(TensorDataset(*images(size)), batch_size)


def answered(change: Callable[[Tensor], Tensor], size: int = 400, batch: Any = None) -> Answers:
    """Return answers whose classes are a function of the right ones."""
    labels = torch.arange(size) % CLASSES
    batches = [images() if batch is None else batch]
    return Answers(change(labels), labels, 0.1, 0.5, CLASSES, batches, 1e-6, "validation")
