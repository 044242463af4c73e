"""The pairs of networks whose training steps are compared, with the losses that a user would write for them."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from _training import Batches
from _ways import Pair
from lightning_abkd.data import IGNORE_INDEX
from lightning_abkd.losses import ForwardKL
from lightning_abkd.models import causal_lm, causal_lm_from_config, keep_layers, resnet8, resnet20
from lightning_abkd.modules import DistillationModule, LanguageDistillationModule

os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")

TRL = "TRL's GKD loss in the loop"
# SmolLM2-135M, whose speed depends on its sizes and not on its weights.
SMOLLM2: dict[str, int | float | str | bool] = {
    "vocab_size": 49152,
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "tie_word_embeddings": True,
}
TINY_LLAMA = SMOLLM2 | {
    "vocab_size": 64,
    "hidden_size": 12,
    "intermediate_size": 16,
    "num_attention_heads": 3,
    "num_hidden_layers": 2,
}

Images = tuple[Tensor, Tensor]
Tokens = dict[str, Tensor]


@dataclass(frozen=True)
class Sizes:
    """How large batches and networks are; `llama` is None for SmolLM2's."""

    images: int = 64
    side: int = 32
    sequences: int = 2
    tokens: int = 128
    layers: int = 10
    llama: dict[str, int | float | str | bool] | None = None


SIZES = {"cpu": Sizes(), "cuda": Sizes(images=1024, sequences=16, tokens=1024)}
TINY = Sizes(images=4, side=8, sequences=2, tokens=12, layers=1, llama=TINY_LLAMA)


def of_images(teacher: nn.Module, student: nn.Module, batch: Images) -> Tensor:
    """Compute cross-entropy and T² times forward KL in plain torch, T = 4."""
    images, labels = batch
    with torch.no_grad():
        target = F.log_softmax(teacher(images) / 4.0, -1)
    logits = student(images)
    distance = F.kl_div(F.log_softmax(logits / 4.0, -1), target, reduction="batchmean", log_target=True)
    return F.cross_entropy(logits, labels) + 16.0 * distance


def of_tokens(
    divergence: Callable[[Tensor, Tensor, Tensor], Tensor], teacher: nn.Module, student: nn.Module, batch: Tokens
) -> Tensor:
    """Compute a divergence of full logits."""
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
    with torch.no_grad():
        target = teacher(**inputs, use_cache=False).logits[:, :-1]
    return divergence(student(**inputs, use_cache=False).logits[:, :-1], target, batch["labels"][:, 1:])


def kl(student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
    """Compute the mean forward KL of the labelled tokens."""
    log_q = F.log_softmax(student[labels != IGNORE_INDEX], -1)
    log_p = F.log_softmax(teacher[labels != IGNORE_INDEX], -1)
    return F.kl_div(log_q, log_p, reduction="batchmean", log_target=True)


def trl_kl(student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
    """Compute the same by TRL."""
    from trl.experimental.gkd import GKDTrainer

    value: Tensor = GKDTrainer.generalized_jsd_loss(student, teacher, labels, beta=0.0)
    return value


def vision(sizes: Sizes, device: str, steps: int) -> Pair[Images]:
    """Build ResNet-20 and ResNet-8, with noise for images."""
    torch.manual_seed(0)
    shape = (sizes.images, 3, sizes.side, sizes.side)
    batches = [(torch.randn(shape), torch.randint(0, 100, shape[:1])) for _ in range(steps + 1)]
    return Pair(
        unit="images",
        count=sizes.images,
        device=device,
        teacher=resnet20().requires_grad_(False).eval(),
        student=resnet8(),
        batches=Batches(batches),
        loss=of_images,
        optimizer=partial(torch.optim.SGD, lr=0.05, momentum=0.9, weight_decay=5e-4),
        module=partial(DistillationModule, divergence=ForwardKL(4.0, scale_by_temperature=True)),
        peers={},
        halved=False,
    )


def language(sizes: Sizes, device: str, steps: int, folder: Path) -> Pair[Tokens]:
    """Build SmolLM2-135M and its first layers; a quarter of each sequence is a prompt and does not count."""
    torch.manual_seed(0)
    real = sizes.llama is None and folder.exists()
    options = sizes.llama or SMOLLM2
    teacher = causal_lm(str(folder)) if real else causal_lm_from_config("llama", options)
    student = keep_layers(teacher, list(range(sizes.layers)))
    batches = [random_tokens(sizes, int(options["vocab_size"])) for _ in range(steps + 1)]
    return Pair(
        unit="tokens",
        count=sizes.sequences * sizes.tokens,
        device=device,
        teacher=teacher.requires_grad_(False).eval(),
        student=student,
        batches=Batches(batches),
        loss=partial(of_tokens, kl),
        optimizer=partial(torch.optim.AdamW, lr=1e-5),
        module=partial(LanguageDistillationModule, divergence=ForwardKL(), task_weight=0.0),
        peers={TRL: partial(of_tokens, trl_kl)},
        halved=True,
    )


def random_tokens(sizes: Sizes, classes: int) -> Tokens:
    """Draw a batch of tokens."""
    ids = torch.randint(0, classes, (sizes.sequences, sizes.tokens))
    labels = ids.masked_fill(torch.arange(sizes.tokens) < sizes.tokens // 4, IGNORE_INDEX)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels}
