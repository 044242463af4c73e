"""What somebody's own code does wrong, as a config names it, and the files that such a config reads."""

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Dataset
from torchvision.ops import MLP
from transformers import ByT5Tokenizer

from lightning_abkd.data import DigitsDataModule, InstructionDataModule, collate
from lightning_abkd.models import causal_lm_from_config
from lightning_abkd.training import load_weights

HERE = "tests.field._doctor"
DIGITS: dict[str, Any] = {
    "seed_everything": 0,
    "trainer": {"accelerator": "cpu", "max_epochs": 3},
    "model": {
        "class_path": "lightning_abkd.modules.DistillationModule",
        "init_args": {
            "teacher": {"class_path": f"{HERE}.teacher"},
            "student": {"class_path": "torchvision.ops.MLP", "init_args": {"in_channels": 64, "hidden_channels": [10]}},
            "divergence": {
                "class_path": "lightning_abkd.losses.AlphaBetaDivergence",
                "init_args": {"alpha": 0.8, "beta": 0.3, "temperature": 2.0},
            },
            "optimizer": {"class_path": "torch.optim.AdamW", "init_args": {"lr": 0.003}},
        },
    },
    "data": {"class_path": "lightning_abkd.data.DigitsDataModule", "init_args": {"flatten": True, "batch_size": 64}},
}
SIZES = {"n_layer": 1, "n_embd": 8, "n_head": 2, "vocab_size": 384, "n_positions": 256, "eos_token_id": 1}
LANGUAGE: dict[str, Any] = {
    "seed_everything": 0,
    "trainer": {"accelerator": "cpu", "max_epochs": 1},
    "model": {
        "class_path": "lightning_abkd.modules.LanguageDistillationModule",
        "init_args": {
            "teacher": {"class_path": f"{HERE}.writer"},
            "student": {
                "class_path": "lightning_abkd.models.causal_lm_from_config",
                "init_args": {"model_type": "gpt2", "options": SIZES},
            },
            "optimizer": {"class_path": "torch.optim.AdamW", "init_args": {"lr": 0.001}},
        },
    },
    "data": {
        "class_path": "lightning_abkd.data.InstructionDataModule",
        "init_args": {"train_file": "texts.jsonl", "batch_size": 4, "validation_fraction": 0.5},
    },
}


def write_files() -> None:
    """Write texts, and the weights of a teacher that knows the digits."""
    rows = [{"instruction": f"say {i}", "output": "abcdefg"[: 2 + i % 5] * 3} for i in range(24)]
    Path("texts.jsonl").write_text("\n".join(map(json.dumps, rows)))
    ByT5Tokenizer(pad_token="<nothing>").save_pretrained("other")
    digits = DigitsDataModule(flatten=True, batch_size=2000)
    digits.setup("fit")
    images, labels = next(iter(digits.train_dataloader()))
    network = MLP(64, [32, 10])
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    for _ in range(60):
        optimizer.zero_grad()
        cross_entropy(network(images), labels).backward()
        optimizer.step()
    torch.save(network.state_dict(), "teacher.pt")
    texts = InstructionDataModule(train_file="texts.jsonl", batch_size=16)
    texts.setup("fit")
    batch: dict[str, Tensor] = collate(list(enumerate(texts.sets["train"][""])), texts.padding)
    student = causal_lm_from_config("gpt2", dict(SIZES))
    optimizer = torch.optim.Adam(student.parameters(), 0.03)
    for _ in range(20):
        optimizer.zero_grad()
        student(**{name: batch[name] for name in ("input_ids", "attention_mask", "labels")}).loss.backward()
        optimizer.step()
    torch.save(student.state_dict(), "writer.pt")


def _mlp(*sizes: int) -> nn.Module:
    network: nn.Module = MLP(64, list(sizes))
    return network


def teacher() -> nn.Module:
    """Build the teacher that knows the digits."""
    return load_weights(_mlp(32, 10), "teacher.pt")


def writer() -> nn.Module:
    """Build the teacher that knows the texts."""
    return load_weights(causal_lm_from_config("gpt2", dict(SIZES)), "writer.pt")


def foreign_writer() -> nn.Module:
    """Build a teacher of another vocabulary."""
    return causal_lm_from_config("gpt2", {**SIZES, "vocab_size": 200})


class StubbornTeacher(nn.Module):
    """A teacher whose dropout is on whatever mode it is put into."""

    def __init__(self) -> None:
        super().__init__()
        self.network = teacher()
        self.dropout = nn.Dropout(0.3)

    def forward(self, inputs: Tensor) -> Tensor:
        """Compute logits."""
        self.dropout.train()
        return torch.as_tensor(self.network(self.dropout(inputs)))


class RawDigits(DigitsDataModule):
    """Digits as bytes, which the teacher has never seen."""

    def transform(self, augment: bool) -> nn.Module:
        """Return digits from 0 to 255."""
        return nn.Sequential(nn.Flatten(0), _Raw())


class _Raw(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return (images + 1) * 127.5


class PermutedDigits(DigitsDataModule):
    """Digits whose labels are numbered backwards."""

    def dataset(self, split: Any) -> Any:
        """Load digits and turn their labels around."""
        stored = super().dataset(split)
        stored.targets = 9 - stored.targets
        return stored


def frozen_student() -> nn.Module:
    """Build a student that nothing trains."""
    return _mlp(10).requires_grad_(False)


@functools.cache
def the_network() -> nn.Module:
    """Build one network for everybody who asks."""
    return _mlp(10)


class ShiftedTexts(InstructionDataModule):
    """Labels that are shifted already."""

    def train_dataloader(self) -> Any:
        """Return batches whose labels are one token early."""
        return _Changed(super().train_dataloader(), _shifted)


class WholeTexts(InstructionDataModule):
    """Labels on the prompt, too."""

    def train_dataloader(self) -> Any:
        """Return batches in which everything but padding counts."""
        return _Changed(super().train_dataloader(), _unmasked)


class PaddedTexts(InstructionDataModule):
    """Labels on padding, too."""

    def train_dataloader(self) -> Any:
        """Return batches in which padding counts."""
        return _Changed(super().train_dataloader(), _padded)


def _shifted(batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    labels = batch["labels"].roll(-1, 1)
    labels[:, -1] = -100
    return {**batch, "labels": labels}


def _unmasked(batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {**batch, "labels": batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)}


def _padded(batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {**batch, "labels": batch["labels"].where(batch["attention_mask"] == 1, batch["input_ids"])}


class _Changed(DataLoader[Any]):
    """Batches of a loader with a change."""

    def __init__(self, loader: Any, change: Any) -> None:
        super().__init__(_Batches([change(batch) for batch in loader]), batch_size=None)


class _Batches(Dataset[Any]):
    def __init__(self, batches: list[Any]) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> Any:
        return self.batches[index]


class OwnCallback(Callback):
    """A callback of somebody's own."""
