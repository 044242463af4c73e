"""Objectives compared on Fashion-MNIST: python benchmarks/fashion_mnist.py.

One teacher, and for every objective and seed one student: the same images in the same order, the same first weights,
the same budget. Images are mirrored at random and not otherwise augmented, so that the teacher sees each of them twice
in all. Temperatures and weights are those of the papers; nothing is chosen on the test set.

The four archives come with Debian's package: apt-get install dataset-fashion-mnist. `--data` names another folder.

    python benchmarks/fashion_mnist.py                    10,000 images, within 45 minutes on two cores; resumable
    python benchmarks/fashion_mnist.py --label-noise 0.2  a fifth of the training labels wrong, for the teacher too
    python benchmarks/fashion_mnist.py --imbalance 100    a long tail of classes, for the teacher too
    python benchmarks/fashion_mnist.py --full             all images and the networks of the papers, for a GPU
"""

import argparse
import json
import os
import statistics
import sys
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path
from typing import NamedTuple

import torch
from torch.utils.data import TensorDataset

from _recipes import DESCRIPTION, FULL, METHODS, REDUCED, Budget
from _report import machine, publish, table
from _students import METRICS, learn, network, read, teach
from _training import silence
from lightning_abkd.data import FashionMNISTDataModule

Results = dict[str, dict[str, float]]


class Variant(NamedTuple):
    """A difference of a comparison from the usual one: its name, its option, and the option's value if any."""

    name: str
    option: str
    value: str = ""


def variants(options: argparse.Namespace) -> list[Variant]:
    """List how a comparison differs from the usual one."""
    found = []
    if options.full:
        found.append(Variant("full", "--full"))
    if options.label_noise:
        found.append(Variant("noise", "--label-noise", f"{options.label_noise:g}"))
    if options.imbalance != 1.0:
        found.append(Variant("long_tail", "--imbalance", f"{options.imbalance:g}"))
    return found


def data_of(options: argparse.Namespace, samples: int | None) -> tuple[TensorDataset, TensorDataset]:
    """Read the images of training and test, or exit with a hint where to get them."""
    data = FashionMNISTDataModule(
        options.data,
        validation_fraction=0.0,
        augment=False,
        train_size=samples,
        label_noise=options.label_noise,
        imbalance=options.imbalance,
    )
    try:
        return read(data)
    except FileNotFoundError as error:
        sys.exit(f"{error} On Debian: apt-get install dataset-fashion-mnist.")


def load(path: Path, settings: dict[str, object]) -> Results:
    """Read the results of an earlier start with the same settings."""
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_text())
        results: Results = content["results"] if content["settings"] == settings else {}
    except (json.JSONDecodeError, KeyError, TypeError):
        sys.exit(f"{path} cannot be read as results. Delete it to start afresh.")
    return results


def save(path: Path, settings: dict[str, object], results: Results) -> None:
    """Write the results so that a stop leaves the old file or the new one."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps({"settings": settings, "results": results}, indent=1, ensure_ascii=False))
    os.replace(part, path)


def compare(options: argparse.Namespace, budget: Budget, output: Path) -> tuple[Results, float]:
    """Run what is missing, and return the results by method and seed and the teacher's accuracy."""
    output.mkdir(parents=True, exist_ok=True)
    path = output / "results.json"
    teacher = output / "teacher.pt"
    settings = json.loads(json.dumps(asdict(budget) | {"recipes": DESCRIPTION, "torch": torch.__version__}))
    results = load(path, settings)
    if not results:
        teacher.unlink(missing_ok=True)
    train, test = teach(teacher, budget, *data_of(options, budget.samples))
    for seed, (method, recipe) in product(range(options.seeds), METHODS.items()):
        if f"{method}/{seed}" not in results:
            print(f"{method}, seed {seed} …", flush=True)
            results[f"{method}/{seed}"] = learn(recipe, seed, budget, train, test)
            save(path, settings, results)
    _, labels, logits = test.tensors
    return results, logits.argmax(1).eq(labels).float().mean().item()


def row(method: str, runs: list[dict[str, float]]) -> list[str]:
    """Lay out mean ± standard deviation over the seeds, and the mean time."""
    cells = [spread([100 * run[metric] for run in runs]) for metric in METRICS]
    return [method, *cells, f"{statistics.fmean(run['seconds'] for run in runs):.0f}"]


def spread(values: list[float]) -> str:
    """Write mean ± standard deviation."""
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.fmean(values):.2f} ± {deviation:.2f}"


def explanation(options: argparse.Namespace, budget: Budget, accuracy: float) -> str:
    """Describe what the table holds."""
    teacher, student = (sum(p.numel() for p in network(size).parameters()) for size in (budget.teacher, budget.student))
    return (
        f"{described_images(options, budget.samples)}; all 10,000 test images. Percent, mean ± standard deviation of "
        f"{options.seeds} seeds, {budget.epochs} epochs. Teacher: residual network of depth {budget.teacher[0]}, "
        f"{teacher:,} parameters, from the same images and labels, accuracy {100 * accuracy:.2f}; students: depth "
        f"{budget.student[0]}, {student:,} parameters. {DESCRIPTION} Nothing was tuned. {machine()}{gpu()}."
    )


def described_images(options: argparse.Namespace, samples: int | None) -> str:
    """Describe the training images."""
    images = "All training images" if samples is None else f"{samples:,} of the 60,000 training images"
    noise = f", {options.label_noise:.0%} of their labels wrong" if options.label_noise else ""
    tail = f", the largest class {options.imbalance:g} times the smallest" if options.imbalance > 1 else ""
    return images + noise + tail


def gpu() -> str:
    """Name the GPU, if there is one."""
    return f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""


def arguments(command: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="/usr/share/datasets/fashion-mnist", help="folder of the four archives")
    parser.add_argument("--full", action="store_true", help="the large budget")
    parser.add_argument("--label-noise", type=float, default=0.0, help="share of wrong training labels, in [0, 1]")
    parser.add_argument("--imbalance", type=float, default=1.0, help="largest class over smallest class in training")
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds; with less than 3 nothing is published")
    parser.add_argument("--samples", type=int, help="another number of images; the table is only printed")
    parser.add_argument("--epochs", type=int, help="another number of epochs; the table is only printed")
    parser.add_argument("--output", type=Path, default=Path("runs/fashion_mnist"), help="folder of results")
    return parser.parse_args(command)


def budget_of(options: argparse.Namespace) -> tuple[Budget, bool]:
    """Return the budget, and True if it and the number of seeds suffice for publishing."""
    usual = FULL if options.full else REDUCED
    budget = replace(usual, samples=options.samples or usual.samples, epochs=options.epochs or usual.epochs)
    return budget, budget == usual and options.seeds >= 3


def main(command: list[str] | None = None) -> None:
    """Run what is missing and write the table."""
    options = arguments(command)
    silence()
    budget, publishable = budget_of(options)
    differences = variants(options)
    kind = "_".join(["fashion_mnist", *(each.name for each in differences)])
    folder = "_".join([kind, *(each.value for each in differences if each.value)])
    results, accuracy = compare(options, budget, options.output / folder)
    rows = [row(method, [results[f"{method}/{seed}"] for seed in range(options.seeds)]) for method in METHODS]
    text = table(["objective", *METRICS.values(), "seconds"], rows)
    if not publishable:
        print(text)
        return
    publish(kind, *headings(differences), f"{explanation(options, budget, accuracy)}\n\n{text}")


def headings(differences: list[Variant]) -> tuple[str, str]:
    """Write the title of a section and its command."""
    names = "".join(f", {each.name.replace('_', ' ')}" for each in differences)
    flags = "".join(f" {each.option} {each.value}".rstrip() for each in differences)
    return f"Objectives on Fashion-MNIST{names}", f"python benchmarks/fashion_mnist.py{flags}"


if __name__ == "__main__":
    main()
