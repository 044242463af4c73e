"""Tiny language models, and instructions that they learn."""

import json

import torch

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


def network(seed, **options):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return causal_lm_from_config("gpt2", GPT2 | DROPLESS | options)


def language_module(**options):
    networks = {"teacher": network(1), "student": network(2), "divergence": AlphaBetaDivergence(0.2, 0.7)}
    return LanguageDistillationModule(**{"optimizer": lambda p: torch.optim.SGD(p, lr=1.0), **networks, **options})


def instructions(path, count=8):
    lines = [json.dumps({"instruction": f"say {i}", "output": "x" * (1 + i % 5)}) for i in range(count)]
    path.write_text("\n".join(lines))
    return str(path)


def instruction_data(folder, **options):
    defaults = {"template": lambda a, b: a, "max_length": 24, "max_prompt_length": 12, "batch_size": 4}
    return InstructionDataModule(train_file=instructions(folder / "train.jsonl"), **defaults | options)


def weights(module):
    return torch.cat([parameter.detach().flatten() for parameter in module.student.parameters()])
