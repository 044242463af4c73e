"""Reference numbers: of the authors' code at the commit that each case names, and of 50-digit arithmetic."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

Case = dict[str, Any]


def _load(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((Path(__file__).parent / "vectors" / name).read_text())
    return loaded


METHODS: dict[str, Case] = _load("methods.json")
ALPHA_BETA: list[Case] = _load("alpha_beta.json")["cases"]


def logits_of(case: Case) -> tuple[Tensor, Tensor]:
    """Return the logits of student and teacher in float64."""
    student, teacher = (
        torch.tensor(case["inputs"][f"{network}_logits"], dtype=torch.float64) for network in ("student", "teacher")
    )
    return student, teacher
