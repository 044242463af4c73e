"""Objectives compared on Fashion-MNIST: python benchmarks/fashion_mnist.py.

One teacher, and for every objective and seed one student: the same images in the same order, the same first weights,
the same budget. Images are mirrored at random and not otherwise augmented, so that the teacher sees each of them twice
in all. Temperatures and weights are those of the papers; nothing is chosen on the test set.

The four archives come with Debian's package: apt-get install dataset-fashion-mnist. Or say where they are: --data.

    python benchmarks/fashion_mnist.py                    10,000 images, within 45 minutes on two cores; resumable
    python benchmarks/fashion_mnist.py --label-noise 0.2  a fifth of the training labels wrong, for the teacher too
    python benchmarks/fashion_mnist.py --imbalance 100    a long tail of classes, for the teacher too
    python benchmarks/fashion_mnist.py --full             all images and the networks of the papers, for a GPU
"""

import argparse
import json
import logging
import os
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch
from lightning.pytorch import Callback, LightningModule, Trainer, seed_everything
from torch import Tensor
from torch.optim import SGD
from torch.optim.lr_scheduler import MultiStepLR
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics import MetricCollection

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]

from _report import machine, publish, table

from lightning_abkd.callbacks import AlphaBetaScheduler, HyperparameterScheduler
from lightning_abkd.data import FashionMNISTDataModule
from lightning_abkd.losses import (
    DIST,
    DKD,
    LSD,
    TTM,
    AlphaBetaDivergence,
    DistillationLoss,
    ForwardKL,
    JensenShannon,
    ReverseKL,
)
from lightning_abkd.metrics import classification_metrics
from lightning_abkd.models import SmallResNet
from lightning_abkd.modules import DistillationModule
from lightning_abkd.schedules import Cosine, Linear

BATCH = 64
METRICS = {"accuracy": "accuracy", "agreement": "agreement", "calibration_error": "calibration error"}


@dataclass(frozen=True)
class Budget:
    """How much is computed: images, epochs, and (depth, widths) of the networks."""

    samples: int | None
    epochs: int
    teacher: tuple[int, tuple[int, int, int, int]]
    student: tuple[int, tuple[int, int, int, int]]


REDUCED = Budget(10_000, 16, (20, (16, 16, 32, 64)), (8, (8, 8, 16, 32)))
FULL = Budget(None, 60, (32, (32, 64, 128, 256)), (8, (32, 64, 128, 256)))


@dataclass(frozen=True)
class Recipe:
    """A loss, its weight, that of the cross-entropy, and what moves during training, given the number of steps."""

    loss: Callable[[], DistillationLoss] | None = None
    weight: float = 1.0
    task_weight: float = 1.0
    callback: Callable[[int], Callback] | None = None


def warm_up(steps: int) -> Callback:
    """Raise the weight over a twelfth of the training, DKD's 20 of 240 epochs."""
    return HyperparameterScheduler({"distillation_weight": Linear(0.0, 1.0, max(1, steps // 12))})


def schedule(_: int) -> Callback:
    """Move from forward KL to the paper's point."""
    return AlphaBetaScheduler(Cosine(1.0, 0.8), Cosine(0.0, 0.3))


METHODS = {
    "student alone": Recipe(),
    "forward KL": Recipe(lambda: ForwardKL(4.0), 32.0),
    "reverse KL": Recipe(lambda: ReverseKL(4.0), 32.0),
    "Jensen-Shannon": Recipe(lambda: JensenShannon(temperature=4.0), 32.0),
    "α-β (0.8, 0.3)": Recipe(lambda: AlphaBetaDivergence(0.8, 0.3, 4.0), 32.0),
    "α-β scheduled": Recipe(lambda: AlphaBetaDivergence(0.8, 0.3, 4.0), 32.0, callback=schedule),
    "DKD": Recipe(lambda: DKD(non_target_weight=6.0), callback=warm_up),
    "AB-DKD (0.8, 0.2)": Recipe(
        lambda: DKD(AlphaBetaDivergence(0.8, 0.2, 4.0, True), non_target_weight=6.0), callback=warm_up
    ),
    "LSD": Recipe(LSD, 9.0, 0.1),
    "AB-LSD (0.9, 0.3)": Recipe(lambda: LSD(AlphaBetaDivergence(0.9, 0.3, 2.0, True)), 9.0, 0.1),
    "TTM": Recipe(lambda: TTM(power=0.1), 76.0),
    "DIST": Recipe(DIST),
}
RECIPES = (
    "SGD of rate 0.05, momentum 0.9, weight decay 5e-4, batches of 64, × 0.1 after 5/8, 6/8 and 7/8 of the epochs, as "
    "the papers do on CIFAR-100. Weights too: α-β 32 at T = 4 without T², which is also KD's 2 with T²; reverse KL and "
    "Jensen-Shannon, for which there is no recipe, take the same; DKD 1 and 6 with warm-up, AB-DKD at α + β = 1; LSD 9 "
    "with 0.1 of the cross-entropy; TTM 76 at γ = 0.1; DIST 1 at T = 4. α-β scheduled goes from (1, 0) to (0.8, 0.3) "
    "in half a cosine."
)


class FromStoredLogits(DistillationModule):
    """Distillation from a teacher's logits that come with the batch."""

    def signals(self, batch: tuple[Tensor, Tensor, Tensor]) -> dict[str, Tensor]:
        """Take the teacher's logits from the batch."""
        images, labels, teacher_logits = batch
        return {"student_logits": self(images), "labels": labels, "teacher_logits": teacher_logits}

    def metrics(self, classes: int) -> MetricCollection:
        """Measure the agreement with the teacher too."""
        return classification_metrics(classes, teacher=True)


class Order:
    """Batches of positions: all images in a new order every epoch, each as it is or, `count` further on, mirrored."""

    def __init__(self, count: int, seed: int) -> None:
        self.count, self.batch = count, min(BATCH, count)
        self.generator = torch.Generator().manual_seed(seed)

    def __len__(self) -> int:
        return self.count // self.batch

    def __iter__(self) -> Iterator[Tensor]:
        order = torch.randperm(self.count, generator=self.generator)
        mirrored = torch.randint(2, (self.count,), generator=self.generator)
        return iter((order + self.count * mirrored).split(self.batch)[: len(self)])


def read(options: argparse.Namespace, samples: int | None) -> tuple[TensorDataset, TensorDataset]:
    """Read images and labels, those of training followed by their mirror images."""
    data = FashionMNISTDataModule(
        options.data,
        validation_fraction=0.0,
        augment=False,
        train_size=samples,
        label_noise=options.label_noise,
        imbalance=options.imbalance,
    )
    try:
        data.setup("fit")
        data.setup("test")
    except FileNotFoundError as error:
        sys.exit(f"{error} On Debian: apt-get install dataset-fashion-mnist.")
    (images, labels), test = (
        next(iter(DataLoader(data.sets[split], batch_size=len(data.sets[split])))) for split in ("train", "test")
    )
    return TensorDataset(torch.cat([images, images.flip(-1)]), labels.repeat(2)), TensorDataset(*test)


def fit(module: LightningModule, data: TensorDataset, seed: int, epochs: int, callbacks: list[Callback]) -> Trainer:
    """Train a module."""
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
    run = Trainer(max_epochs=epochs, devices=1, logger=False, callbacks=callbacks, **quiet)
    run.fit(module, DataLoader(data, batch_size=None, sampler=Order(len(data) // 2, seed)))
    return run


def optimization(epochs: int) -> dict[str, object]:
    """Give the optimizer and its schedule as arguments of a module."""
    milestones = [epochs * eighths // 8 for eighths in (5, 6, 7)]
    return {
        "optimizer": partial(SGD, lr=0.05, momentum=0.9, weight_decay=5e-4),
        "lr_scheduler": partial(MultiStepLR, milestones=milestones, gamma=0.1),
    }


def network(size: tuple[int, tuple[int, int, int, int]]) -> SmallResNet:
    """Build a network for grey images of ten classes."""
    return SmallResNet(*size, num_classes=10, in_channels=1)


@torch.no_grad()
def logits_of(teacher: DistillationModule, images: Tensor) -> Tensor:
    """Compute the logits of all images."""
    teacher.eval()
    return torch.cat([teacher(block.to(teacher.device)).cpu() for block in images.split(1000)])


def teach(path: Path, budget: Budget, train: TensorDataset, test: TensorDataset) -> tuple[TensorDataset, TensorDataset]:
    """Add the teacher's logits to images and labels; train it unless an earlier start did."""
    if not path.exists():
        print("teacher …", flush=True)
        seed_everything(0, verbose=False)
        teacher = DistillationModule(student=network(budget.teacher), **optimization(budget.epochs))
        fit(teacher, train, 0, budget.epochs, [])
        logits = [logits_of(teacher, data.tensors[0]) for data in (train, test)]
        torch.save(logits, path.with_suffix(".part"))
        os.replace(path.with_suffix(".part"), path)
    logits = torch.load(path)
    return tuple(TensorDataset(*data.tensors, x) for data, x in zip((train, test), logits, strict=True))


def learn(recipe: Recipe, seed: int, budget: Budget, train: TensorDataset, test: TensorDataset) -> dict[str, float]:
    """Train and test one student."""
    seed_everything(seed, verbose=False)
    student = network(budget.student)
    loss = recipe.loss and recipe.loss()
    weights = {"task_weight": recipe.task_weight, "distillation_weight": recipe.weight}
    module = FromStoredLogits(None, student, loss, **weights, **optimization(budget.epochs))
    steps = budget.epochs * len(Order(len(train) // 2, seed))
    start = time.perf_counter()
    run = fit(module, train, seed, budget.epochs, [recipe.callback(steps)] if recipe.callback else [])
    seconds = time.perf_counter() - start
    blocks = torch.arange(len(test)).split(1000)
    (result,) = run.test(module, DataLoader(test, batch_size=None, sampler=blocks), verbose=False)
    return {metric: result[f"test/{metric}"] for metric in METRICS} | {"seconds": seconds}


def load(path: Path, settings: dict[str, object]) -> dict[str, dict[str, float]]:
    """Read the results of an earlier start with the same settings."""
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_text())
        return content["results"] if content["settings"] == settings else {}
    except (json.JSONDecodeError, KeyError, TypeError):
        sys.exit(f"{path} cannot be read as results. Delete it to start afresh.")


def compare(options: argparse.Namespace, budget: Budget, output: Path) -> tuple[dict[str, dict[str, float]], Tensor]:
    """Run what is missing: the results by method and seed, and the teacher's accuracy."""
    output.mkdir(parents=True, exist_ok=True)
    path, teacher = output / "results.json", output / "teacher.pt"
    settings = json.loads(json.dumps(asdict(budget) | {"recipes": RECIPES, "torch": torch.__version__}))
    results = load(path, settings)
    if not results:
        teacher.unlink(missing_ok=True)
    train, test = teach(teacher, budget, *read(options, budget.samples))
    for seed in range(options.seeds):
        for method, recipe in METHODS.items():
            if f"{method}/{seed}" not in results:
                print(f"{method}, seed {seed} …", flush=True)
                results[f"{method}/{seed}"] = learn(recipe, seed, budget, train, test)
                part = path.with_suffix(".part")
                part.write_text(json.dumps({"settings": settings, "results": results}, indent=1, ensure_ascii=False))
                os.replace(part, path)
    _, labels, logits = test.tensors
    return results, logits.argmax(1).eq(labels).float().mean()


def rows(results: dict[str, dict[str, float]], seeds: int) -> list[list[str]]:
    """Lay out mean ± standard deviation over the seeds."""
    lines = []
    for method in METHODS:
        runs, cells = [results[f"{method}/{seed}"] for seed in range(seeds)], [method]
        for metric in METRICS:
            values = [100 * run[metric] for run in runs]
            spread = statistics.stdev(values) if len(values) > 1 else 0.0
            cells.append(f"{statistics.fmean(values):.2f} ± {spread:.2f}")
        lines.append([*cells, f"{statistics.fmean(run['seconds'] for run in runs):.0f}"])
    return lines


def describe(options: argparse.Namespace, budget: Budget, teacher: Tensor) -> str:
    """Say what the table is of."""
    images = "All training images" if budget.samples is None else f"{budget.samples:,} of the 60,000 training images"
    noise = f", {options.label_noise:.0%} of their labels wrong" if options.label_noise else ""
    tail = f", the largest class {options.imbalance:g} times the smallest" if options.imbalance > 1 else ""
    sizes = [sum(p.numel() for p in network(size).parameters()) for size in (budget.teacher, budget.student)]
    device = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return (
        f"{images}{noise}{tail}; all 10,000 test images. Percent, mean ± standard deviation of {options.seeds} seeds, "
        f"{budget.epochs} epochs. Teacher: residual network of depth {budget.teacher[0]}, {sizes[0]:,} parameters, "
        f"from the same images and labels, accuracy {100 * teacher:.2f}; students: depth {budget.student[0]}, "
        f"{sizes[1]:,} parameters. {RECIPES} Nothing was tuned. {machine()}{device}."
    )


def arguments(command: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
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


def silence() -> None:
    """Leave out what Lightning says of itself in every one of the runs."""
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)


def main(command: list[str] | None = None) -> None:
    """Run what is missing and write the table."""
    options = arguments(command)
    silence()
    full = FULL if options.full else REDUCED
    budget = Budget(options.samples or full.samples, options.epochs or full.epochs, full.teacher, full.student)
    parts = {"full": options.full, "noise": options.label_noise > 0, "long_tail": options.imbalance > 1}
    kind = "_".join(["fashion_mnist", *(name for name, is_on in parts.items() if is_on)])
    switches = {"--full": options.full or None, "--label-noise": options.label_noise, "--imbalance": options.imbalance}
    defaults = {"--full": None, "--label-noise": 0.0, "--imbalance": 1.0}
    chosen = {name: value for name, value in switches.items() if value != defaults[name]}
    folder = "_".join([kind, *(f"{value:g}" for value in chosen.values() if value is not True)])
    results, teacher = compare(options, budget, options.output / folder)
    text = table(["objective", *METRICS.values(), "seconds"], rows(results, options.seeds))
    if budget != full or options.seeds < 3:
        print(text)
        return
    flags = "".join(f" {name}" if value is True else f" {name} {value:g}" for name, value in chosen.items())
    title = "Objectives on Fashion-MNIST" + "".join(f", {name.replace('_', ' ')}" for name, on in parts.items() if on)
    publish(
        kind, title, f"python benchmarks/fashion_mnist.py{flags}", f"{describe(options, budget, teacher)}\n\n{text}"
    )


if __name__ == "__main__":
    main()
