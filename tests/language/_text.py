"""Tiny language models, and instructions that they learn."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lightning_abkd.data import InstructionDataModule
from lightning_abkd.losses import AlphaBetaDivergence
from lightning_abkd.models import causal_lm_from_config
from lightning_abkd.modules import LanguageDistillationModule

DROPLESS = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
GPT2 = {
    "n_layer": 1,
    "n_embd": 8,
    "n_head": 2,
    "n_positions": 64,
    "vocab_size": 384,
    "eos_token_id": 1,
    "bos_token_id": 1,
}


def network(seed: int, **options: Any) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return causal_lm_from_config("gpt2", GPT2 | DROPLESS | options)


def language_module(**options: Any) -> LanguageDistillationModule:
    defaults: dict[str, Any] = {
        "teacher": network(1),
        "student": network(2),
        "divergence": AlphaBetaDivergence(0.2, 0.7),
        "optimizer": lambda parameters: torch.optim.SGD(parameters, lr=1.0),
    }
    return LanguageDistillationModule(**defaults | options)


def instructions(path: Path, count: int = 8) -> str:
    lines = [json.dumps({"instruction": f"say {i}", "output": "x" * (1 + i % 5)}) for i in range(count)]
    path.write_text("\n".join(lines))
    return str(path)


def instruction_data(folder: Path, **options: Any) -> InstructionDataModule:
    defaults: dict[str, Any] = {"template": lambda a, b: a, "max_length": 24, "max_prompt_length": 12, "batch_size": 4}
    return InstructionDataModule(train_file=instructions(folder / "train.jsonl"), **defaults | options)


def weights(module: LanguageDistillationModule) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in module.student.parameters()])
