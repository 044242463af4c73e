"""Nothing asks the network unless a config names a remote file: the network is cut, and every attempt is listed."""

import ctypes
import errno
import os
import socket
import sys
import warnings

import pytest
import torch
from datasets import Dataset

from lightning_abkd.cli import main
from lightning_abkd.data import byte_tokenizer, load_tokenizer, read_records
from lightning_abkd.models import causal_lm, causal_lm_from_config, clip_classifier, lora
from tests._processes import Rank
from tests.cli._commands import CONFIG
from tests.language._text import GPT2, instructions
from tests.vision.models._clips import write_clip

NEW_USER, NEW_NETWORK = 0x10000000, 0x40000000
LANGUAGE = """
trainer:
  max_steps: 2
  accelerator: cpu
  logger: false
  enable_checkpointing: false
  callbacks: [{class_path: SavePretrained, init_args: {folder: models/student, merge_adapters: false}}]
model:
  class_path: LanguageDistillationModule
  init_args:
    teacher: {class_path: causal_lm, init_args: {path: models/gpt2}}
    student: {class_path: lora, init_args: {rank: 2, network: {class_path: causal_lm, init_args: {path: models/bin}}}}
data:
  class_path: InstructionDataModule
  init_args:
    tokenizer: {class_path: load_tokenizer, init_args: {path: models/gpt2}}
    train_file: train.jsonl
    max_length: 256
    max_prompt_length: 250
"""


def cut_network():
    """Leave the machine's network; return "", or the reason where the system does not allow it."""
    library = ctypes.CDLL(None, use_errno=True)
    # A user namespace of its own, which allows the rest, is not for processes with threads.
    if 0 in (library.unshare(flags) for flags in (NEW_USER | NEW_NETWORK, NEW_NETWORK)):
        return ""
    return errno.errorcode[ctypes.get_errno()]


def noted(event, arguments):
    """Return what a process asks of the network, None for anything else."""
    if event in ("socket.getaddrinfo", "socket.gethostbyname"):
        return f"{event} {arguments[0]}"
    if event in ("socket.connect", "socket.sendto") and isinstance(arguments[1], tuple):
        return f"{event} {arguments[1]}"
    return None


def write_models(folder):
    network = causal_lm_from_config("gpt2", GPT2 | {"n_positions": 256})
    for name in ("gpt2", "bin"):
        # transformers asks its hub for a safer copy of what it reads from the hub in pickles.
        network.save_pretrained(folder / "models" / name)
        byte_tokenizer().save_pretrained(folder / "models" / name)
    (folder / "models" / "bin" / "model.safetensors").unlink()
    torch.save(network.state_dict(), folder / "models" / "bin" / "pytorch_model.bin")
    write_clip(folder / "models" / "clip", 6)
    Dataset.from_list([{"instruction": "a", "output": "b"}]).save_to_disk(folder / "saved")
    instructions(folder / "train.jsonl")
    (folder / "vision.yaml").write_text(CONFIG)
    (folder / "language.yaml").write_text(LANGUAGE)


def command(*arguments):
    sys.argv = ["abkd", *arguments]
    main()


def work(folder):
    """Do what users do with local files; return why the network could not be cut, and what was asked of it.

    The last attempt is one on purpose.
    """
    os.chdir(folder)
    for name in [name for name in os.environ if name.endswith("OFFLINE")]:
        del os.environ[name]
    warnings.simplefilter("ignore")
    write_models(folder)
    uncut = cut_network()
    attempts = []
    sys.addaudithook(lambda event, arguments: (said := noted(event, arguments)) and attempts.append(said))
    command("fit", "--config", "vision.yaml", "--trainer.max_steps=1", "--trainer.limit_val_batches=1")
    command("fit", "--config", "language.yaml")
    clip_classifier("models/clip", ["cat", "dog"])
    lora(causal_lm("models/gpt2"), path="models/student")
    read_records("saved")
    for missing in ("nowhere", "./models"):
        with pytest.raises((OSError, ValueError)):
            load_tokenizer(missing)
    with socket.socket() as attempt:
        attempt.settimeout(0.1)
        with pytest.raises(OSError):
            attempt.connect(("192.0.2.1", 80))
    return uncut, attempts


def test_local_files_ask_nothing_of_the_network(tmp_path):
    uncut, attempts = Rank(work, (tmp_path,), output=tmp_path / "output.txt").result(100)
    assert attempts == ["socket.connect ('192.0.2.1', 80)"]
    # Where the system grants no namespace, the list alone speaks; it misses what is not written in Python.
    assert uncut in ("", "EPERM")
