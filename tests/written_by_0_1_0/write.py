"""Writes the files of this folder, and numbers.json with what was measured of them: kept to tell where they come from.

It ran once, in version 0.1.0 (commit 8ba88a1), in an empty folder, from which all was copied here:

    PYTHONPATH=<that version>:<this checkout> python -m tests.written_by_0_1_0.write

The settings beside it were there before. Later versions read this folder (tests/test_compatibility.py), none writes it.
"""

import json
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

import torch
from lightning.pytorch import LightningDataModule, Trainer
from torch import nn

import lightning_abkd.losses as losses
from lightning_abkd import __version__
from lightning_abkd.cli import AbkdCLI, main
from lightning_abkd.models import save_weights
from lightning_abkd.modules import DistillationModule, LanguageDistillationModule
from tests.written_by_0_1_0 import _measured as measured

SETTINGS = ("digits.yaml", "language.yaml", "cached.yaml", "responses.yaml", "sweep.yaml", "tasks.jsonl")


def adam(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    return torch.optim.Adam(parameters, lr=0.02)


def train(module: DistillationModule, data: LightningDataModule | measured.Vectors, epochs: int) -> Trainer:
    trainer = measured.trainer(epochs)
    trainer.fit(module, data)
    return trainer


def abkd(*arguments: str) -> None:
    """Run the command line as a user does."""
    sys.argv = ["abkd", *arguments]
    main()


def resumed(folder: str, epochs: int) -> dict[str, float]:
    """Train on from a checkpoint, by the config that was saved beside the logs, and count."""
    options = ["--trainer.max_epochs", str(epochs), "--trainer.callbacks.dirpath", "resumed"]
    cli = AbkdCLI(["fit", "--config", f"{folder}/config.yaml", "--ckpt_path", f"{folder}/last.ckpt", *options])
    policy = getattr(cli.model, "student_data", None)
    batches = {} if policy is None else {"batches": policy.batches}
    return measured.live(cli.model) | {"global_step": cli.trainer.global_step} | batches


def write_teachers() -> None:
    torch.manual_seed(1)
    classifier = DistillationModule(student=measured.digits_teacher(), optimizer=adam)
    train(classifier, measured.digits(), 10)
    classifier.save_student("digits/teacher.safetensors")
    language = LanguageDistillationModule(student=measured.language_teacher(), optimizer=adam)
    train(language, measured.instructions(), 100)
    language.save_student("language/teacher.pt")


def write_digits() -> dict[str, object]:
    cli = AbkdCLI(["fit", "--config", "digits.yaml"])
    cli.model.save_student("digits/student.safetensors")
    shutil.copy("logs/digits/version_0/config.yaml", "digits/config.yaml")
    module = DistillationModule.load_from_checkpoint("digits/last.ckpt", teacher=cli.model.teacher)
    return {
        "digits": measured.validation(module, measured.digits()) | measured.live(module),
        "digits logits": measured.logits(module.student),
        "digits resumed": resumed("digits", 3),
    }


def write_vectors() -> dict[str, object]:
    torch.manual_seed(2)
    teacher = measured.vectors_teacher()
    save_weights(teacher, "vectors/teacher.pt")
    module = DistillationModule(
        teacher=teacher,
        student=measured.vectors_student(),
        divergence=measured.vectors_loss(),
        optimizer=adam,
        student_features="1",
        teacher_features="1",
    )
    train(module, measured.vectors(), 3).save_checkpoint("vectors/last.ckpt")
    module.save_student("vectors/student.pt")
    return {"vectors": measured.validation(module, measured.vectors()) | measured.live(module)}


def write_language() -> dict[str, object]:
    cli = AbkdCLI(["fit", "--config", "language.yaml"])
    shutil.copy("logs/language/version_0/config.yaml", "language/config.yaml")
    module = LanguageDistillationModule.load_from_checkpoint("language/last.ckpt", teacher=cli.model.teacher)
    numbers = measured.validation(module, measured.instructions()) | measured.live(module)
    return {
        "language": numbers,
        "student data": measured.state_of(cli.model.student_data),
        "language resumed": resumed("language", 4),
    }


def write_caches() -> dict[str, object]:
    cached = ["fit", "--config", "language.yaml", "--config", "cached.yaml"]
    logged = {}
    for kind in ("hidden", "top_k"):
        options = [f"--trainer.callbacks.folder=cache/{kind}", f"--trainer.callbacks.kind={kind}"]
        cli = AbkdCLI([*cached, *options, "--trainer.callbacks.k=8"])
        logged[kind] = cli.trainer.callback_metrics["train/loss"].item()
    digests = {"hidden": measured.hidden_digest("cache/hidden"), "top_k": measured.top_k_digest("cache/top_k")}
    return {"cached losses": logged, "cache digests": digests}


def write_responses() -> dict[str, object]:
    path = Path("responses/teacher.jsonl")
    abkd("predict", "--config", "language.yaml", "--config", "responses.yaml")
    whole = path.read_text()
    # As of a run that was killed in its second batch of three.
    path.write_text(whole[: whole.index('"output"', whole.index('"index": 3'))])
    return {"responses": whole}


def write_sweep() -> dict[str, object]:
    points = ["--alpha", "0.5", "1", "--beta", "0", "--seeds", "0", "--metric", "val/loss", "--folder", "sweep"]
    abkd("sweep", "--config", "sweep.yaml", *points)
    table = Path("sweep/table.md").read_text()
    # As of a sweep that was killed in its second training.
    shutil.rmtree("sweep/alpha_1_beta_0")
    for name in ("table.md", "plane.png"):
        Path("sweep", name).unlink()
    return {"sweep": table}


def list_state() -> dict[str, object]:
    """List the names in the state dict of every loss that is built of numbers alone."""
    composed = ("DistillationLoss", "Divergence", "LargerDivergence", "TokenwiseAlphaBeta", "WeightedSum")
    classes = {name: getattr(losses, name) for name in losses.__all__ if name not in composed}
    built = {
        name: each(**measured.ARGUMENTS.get(name, {}))
        for name, each in classes.items()
        if isinstance(each, type) and issubclass(each, losses.DistillationLoss)
    }
    return {"state": {f"lightning_abkd.losses.{name}": sorted(loss.state_dict()) for name, loss in built.items()}}


if __name__ == "__main__":
    torch.set_num_threads(1)
    for name in SETTINGS:
        shutil.copy(Path(__file__).with_name(name), name)
    write_teachers()
    numbers: dict[str, object] = {"version": __version__, "torch": torch.__version__}
    for write in (write_digits, write_vectors, write_language, write_caches, write_responses, write_sweep, list_state):
        numbers |= write()
    for name in ("logs", "resumed"):
        shutil.rmtree(name)
    for folder in ("digits", "language"):
        next(path for path in Path(folder).glob("*.ckpt") if path.stem != "last").unlink()
    Path("numbers.json").write_text(json.dumps(numbers, indent=1) + "\n")
