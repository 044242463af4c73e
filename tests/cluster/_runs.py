"""Runs of tiny networks that give the same weights however their batches are split over ranks and micro-batches."""

import os
import random
from functools import partial

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.strategies import ModelParallelStrategy
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from lightning_abkd.callbacks import AlphaBetaScheduler
from lightning_abkd.losses import Divergence
from lightning_abkd.models import causal_lm_from_config
from lightning_abkd.modules import DistillationModule, LanguageDistillationModule
from lightning_abkd.schedules import Cosine

STEPS = 5
ROWS = 24
SGD = partial(torch.optim.SGD, lr=0.5, momentum=0.9)
GPT2 = {"n_layer": 2, "n_embd": 8, "n_head": 2, "vocab_size": 16, "n_positions": 16} | dict.fromkeys(
    ("resid_pdrop", "embd_pdrop", "attn_pdrop"), 0.0
)


class Parts:
    """Micro-batches of one rank: each step's rows are cut into pieces of any size, one for each rank and micro-batch.

    `whole` is one batch a step, of all rows.
    """

    def __init__(self, micro: int = 1, whole: bool = False) -> None:
        ranks, self.rank = (1, 0) if whole else (int(os.environ["WORLD_SIZE"]), int(os.environ["RANK"]))
        self.ranks = ranks
        self.pieces = ranks * (1 if whole else micro)
        self.batch_size = 1

    def __iter__(self):
        draw = random.Random(0)
        for step in range(STEPS):
            cuts = [0, *sorted(draw.sample(range(1, ROWS), self.pieces - 1)), ROWS]
            for piece in range(self.rank, self.pieces, self.ranks):
                yield range(step * ROWS + cuts[piece], step * ROWS + cuts[piece + 1])

    def __len__(self):
        return STEPS * self.pieces // self.ranks


class Tokens(Dataset):
    """Samples with labels for any number of their last tokens; half of the samples have none."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(1)
        self.ids = torch.randint(1, 16, (STEPS * ROWS, 9), generator=generator)
        first = torch.randint(1, 18, (STEPS * ROWS, 1), generator=generator)
        self.labels = torch.where(torch.arange(9) >= first, self.ids, -100)

    def __len__(self):
        return len(self.ids)

    def __getitem__(self, i):
        return {"input_ids": self.ids[i], "labels": self.labels[i], "attention_mask": torch.ones(9, dtype=torch.long)}


class Owning(Divergence):
    """A divergence with weights of its own: a direction, and a single number."""

    def __init__(self) -> None:
        super().__init__()
        self.direction = nn.Parameter(torch.linspace(-1, 1, 3).to(torch.get_default_dtype()))
        self.scale = nn.Parameter(torch.tensor(0.05, dtype=torch.get_default_dtype()))

    def pointwise(self, log_p, log_q):
        return ((log_p - log_q - self.direction) * self.scale).square().sum(-1)


def seeded(build, seed, dtype):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build().to(dtype)


def mlp():
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))


def images(dtype):
    generator = torch.Generator().manual_seed(2)
    inputs = torch.randn(STEPS * ROWS, 4, generator=generator, dtype=torch.float64).to(dtype)
    return TensorDataset(inputs, torch.randint(0, 3, (STEPS * ROWS,), generator=generator))


def image_module(dtype, divergence=None, **options):
    return DistillationModule(seeded(mlp, 1, dtype), seeded(mlp, 2, dtype), divergence, optimizer=SGD, **options)


def language_module(dtype, student=None, **options):
    build = partial(causal_lm_from_config, "gpt2", GPT2 | {"eos_token_id": 0, "bos_token_id": 0, "pad_token_id": 0})
    student = seeded(student or build, 2, dtype)
    return LanguageDistillationModule(seeded(build, 1, dtype), student, optimizer=SGD, **options)


def adapted():
    from peft import LoraConfig, get_peft_model

    lora = LoraConfig(r=2, target_modules=["c_attn"], fan_in_fan_out=True, init_lora_weights=False)
    return get_peft_model(causal_lm_from_config("gpt2", GPT2), lora)


def schedule():
    return AlphaBetaScheduler(alpha=Cosine(start=1.0, end=0.5), beta=Cosine(start=0.0, end=0.5))


def strategy_of(name):
    return ModelParallelStrategy() if name == "fsdp2" else name


def trainer(strategy, **options):
    quiet = dict.fromkeys(
        ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary", "use_distributed_sampler"),
        False,
    )
    devices = 1 if strategy == "auto" else int(os.environ["WORLD_SIZE"])
    return Trainer(
        **{"accelerator": "cpu", "devices": devices, "strategy": strategy_of(strategy), "max_steps": STEPS}
        | quiet
        | options
    )


def whole(parameter):
    return getattr(parameter, "full_tensor", lambda: parameter)().detach()


def trained(module, data, strategy, micro=1, **options):
    """Train for five steps and return all weights, whole."""
    batches = Parts(micro, whole=strategy == "auto")
    accumulate = 1 if strategy == "auto" else micro
    run = trainer(strategy, accumulate_grad_batches=accumulate, limit_val_batches=0, **options)
    run.fit(module, DataLoader(data, batch_sampler=batches))
    return {name: whole(parameter) for name, parameter in module.named_parameters()}
