"""Time of each objective against its formula as printed, and of a training step: python benchmarks/objectives.py."""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]

import _literal as literal
from _report import interleaved, machine, publish, ratio, table
from fashion_mnist import silence

from lightning_abkd.losses import (
    CRD,
    DIST,
    DKD,
    ITRD,
    LSD,
    MLKD,
    TTM,
    WTTM,
    AlphaBetaDivergence,
    DistillationLoss,
    ForwardKL,
)
from lightning_abkd.models import resnet8, resnet20
from lightning_abkd.modules import DistillationModule

Signals = dict[str, Tensor]
Literal = Callable[[Signals], Tensor]
BATCH, STUDENT_DIM, TEACHER_DIM, STORED, NEGATIVES = 256, 64, 256, 50_000, 512


def pair(signals: Signals, suffix: str = "") -> tuple[Tensor, Tensor]:
    """Take the logits of student and teacher."""
    return signals[f"student_logits{suffix}"], signals[f"teacher_logits{suffix}"]


def ab_lsd(x: Signals) -> Tensor:
    """AB-LSD as printed, with T²."""
    return 4.0 * literal.ab(*map(literal.standardised, pair(x)), 2.0, 0.9, 0.3)


def of_logits() -> dict[str, tuple[DistillationLoss, Literal]]:
    """Give each objective of logits and what it is compared with."""
    dkd, lsd, ttm = DKD, LSD, TTM
    squared = partial(AlphaBetaDivergence, scale_by_temperature=True)
    return {
        "KD": (ForwardKL(4.0, True), lambda x: literal.kl(*pair(x), 4.0)),
        "AB": (AlphaBetaDivergence(0.8, 0.3, 4.0), lambda x: literal.ab(*pair(x), 4.0, 0.8, 0.3)),
        "DKD": (dkd(), lambda x: literal.dkd(*pair(x), x["labels"], 8.0, 4.0)),
        "AB-DKD": (dkd(squared(0.8, 0.2, 4.0)), lambda x: literal.ab_dkd(*pair(x), x["labels"], 8.0, 4.0)),
        "LSD": (lsd(), lambda x: literal.kl(*map(literal.standardised, pair(x)), 2.0)),
        "AB-LSD": (lsd(squared(0.9, 0.3, 2.0)), ab_lsd),
        "TTM": (ttm(power=0.1), lambda x: literal.ttm(*pair(x), 0.1)),
        "AB-TTM": (ttm(AlphaBetaDivergence(0.8, 0.3), 0.1), lambda x: literal.ab_ttm(*pair(x), 0.1)),
        "WTTM": (WTTM(power=0.2), lambda x: literal.wttm(*pair(x), 0.2)),
        "DIST": (DIST(), lambda x: literal.dist(*pair(x), 4.0)),
        "MLKD": (MLKD(), lambda x: literal.mlkd(pair(x), pair(x, "_strong"))),
    }


def of_features() -> dict[str, tuple[DistillationLoss, Literal]]:
    """Give each objective of features and what it is compared with, on the same heads and memories."""
    crd, itrd = CRD(STORED, STUDENT_DIM, TEACHER_DIM, negatives=NEGATIVES), ITRD(STUDENT_DIM, TEACHER_DIM)
    # The first batch fixes Z.
    crd(torch.randn(BATCH, STUDENT_DIM), torch.randn(BATCH, TEACHER_DIM), torch.arange(BATCH))
    return {
        "ITRD": (itrd, lambda x: literal.itrd(x["student_features"], x["teacher_features"], itrd)),
        "CRD": (crd, lambda x: literal.crd(x["student_features"], x["teacher_features"], x["index"], crd)),
    }


def draw(classes: int, drawn: Tensor) -> Signals:
    """Draw a batch; its samples are none of the negatives `drawn`, which the formula does not look for."""
    torch.manual_seed(0)
    logits = {name: 3 * torch.randn(BATCH, classes) for name in ("student_logits", "student_logits_strong")}
    logits |= {name: 3 * torch.randn(BATCH, classes) for name in ("teacher_logits", "teacher_logits_strong")}
    features = {
        "student_features": torch.randn(BATCH, STUDENT_DIM),
        "teacher_features": torch.randn(BATCH, TEACHER_DIM),
    }
    signals = {name: x.requires_grad_(name.startswith("student")) for name, x in (logits | features).items()}
    index = torch.arange(STORED)[~torch.isin(torch.arange(STORED), drawn)][:BATCH]
    return signals | {"labels": torch.randint(0, classes, (BATCH,)), "index": index}


def run(objective: Literal, signals: Signals, calls: int = 1) -> tuple[float, Tensor]:
    """Run forward and backward passes: the value, and the gradient of what the student gave."""
    leaves = [x for x in signals.values() if x.requires_grad]
    for _ in range(calls):
        for x in leaves:
            x.grad = None
        value = objective(signals)
        value.backward()
    return value.item(), torch.cat([x.grad.flatten() for x in leaves if x.grad is not None])


def taking(loss: DistillationLoss) -> Literal:
    """Let a loss take its signals from a batch."""
    names = loss.required_signals
    return lambda signals: loss(**{name: signals[name] for name in names})


def difference(ours: DistillationLoss, other: Literal, signals: Signals) -> float:
    """Give the largest relative difference of value and gradient, the gradient's by its largest entry."""
    (value, gradient), (printed, expected) = run(taking(ours.eval()), signals), run(other, signals)
    ours.train()
    return max(abs(value / printed - 1.0), float((gradient - expected).abs().max() / expected.abs().max()))


def compare(
    objectives: dict[str, tuple[DistillationLoss, Literal]], signals: Signals, rounds: int
) -> dict[str, list[str]]:
    """Measure each objective: its time, the ratio to the formula's, and how far both are apart."""
    cells = {}
    for name, (ours, other) in objectives.items():
        apart = difference(ours, other, signals)
        mine = taking(ours)
        once = min(interleaved({"ours": partial(run, mine, signals)}, 3)["ours"])
        calls = max(1, round(0.02 / once))
        candidates = {name: partial(run, f, signals, calls) for name, f in (("ours", mine), ("other", other))}
        times = interleaved(candidates, rounds)
        microseconds = statistics.median(times["ours"]) / calls * 1e6
        cells[name] = [f"{microseconds:.0f} µs", f"{ratio(times, 'ours', 'other'):.2f}", f"{apart:.1e}"]
        print(name, *cells[name], flush=True)
    return cells


class Clock(Callback):
    """Notes when each training step ends."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: object) -> None:
        """Note the time."""
        self.ends.append(time.perf_counter())


def by_module(teacher: nn.Module, student: nn.Module, batches: list[tuple[Tensor, Tensor]]) -> list[float]:
    """Train with the module and give the times at which steps end."""
    sgd = partial(torch.optim.SGD, lr=0.05, momentum=0.9, weight_decay=5e-4)
    module, clock = DistillationModule(teacher, student, ForwardKL(4.0, True), optimizer=sgd), Clock()
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
    trainer = Trainer(max_epochs=1, accelerator="cpu", logger=False, callbacks=[clock], **quiet)
    trainer.fit(module, DataLoader(batches, batch_size=None))
    return clock.ends


def by_loop(teacher: nn.Module, student: nn.Module, batches: list[tuple[Tensor, Tensor]]) -> list[float]:
    """Train with a loop in plain torch and give the times at which steps end."""
    optimizer = torch.optim.SGD(student.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
    teacher.eval(), student.train()
    ends = []
    for images, labels in DataLoader(batches, batch_size=None):
        with torch.no_grad():
            targets = teacher(images)
        logits = student(images)
        loss = F.cross_entropy(logits, labels) + literal.kl(logits, targets, 4.0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        ends.append(time.perf_counter())
    return ends


def overhead(rounds: int, steps: int = 12) -> tuple[float, float]:
    """Measure the median time of a step by the loop, and by how much the module's is longer, both taking turns."""
    torch.manual_seed(0)
    networks = resnet20().requires_grad_(False), resnet8()
    batches = [(torch.randn(64, 3, 32, 32), torch.randint(0, 100, (64,))) for _ in range(steps + 1)]
    times: dict[str, list[float]] = {"module": [], "loop": []}
    for _ in range(rounds):
        for name, train in (("module", by_module), ("loop", by_loop)):
            ends = train(*networks, batches)
            times[name].append(statistics.median(b - a for a, b in pairwise(ends)))
    return statistics.median(times["loop"]), ratio(times, "module", "loop") - 1.0


def main() -> None:
    """Write both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=21, help="rounds in which the candidates take turns")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    silence()
    features = of_features()
    drawn = features["CRD"][0]._draw(torch.device("cpu"))
    columns = [compare(of_logits(), draw(classes, drawn), options.rounds) for classes in (100, 1000)]
    rows = [[name, *(cell for column in columns for cell in column[name])] for name in columns[0]]
    of_both = compare(features, draw(2, drawn), options.rounds)
    loop, longer = overhead(options.rounds)
    header = ["objective", *(f"{BATCH}×{n}, {what}" for n in (100, 1000) for what in ("ours", "ratio", "difference"))]
    text = (
        "Forward and backward, float32: time, ratio to the formula as papers and released code have it in plain torch "
        "(below 1 is faster), and the largest difference of value and gradient between both, relative. Median of "
        f"{options.rounds} rounds in which both take turns. {machine()}.\n\n{table(header, rows)}\n\n"
        f"Features of {BATCH} samples, {STUDENT_DIM} and {TEACHER_DIM} wide; CRD with {NEGATIVES} negatives, which the "
        "formula gathers for each sample and ours shares:\n\n"
        + table(["objective", "ours", "ratio", "difference"], [[name, *cells] for name, cells in of_both.items()])
        + f"\n\nA step of `DistillationModule` (ResNet-20 to ResNet-8, 64 images of 32×32, KD) takes "
        f"{100 * longer:.1f} % longer than the {loop * 1e3:.0f} ms of a plain loop with the same networks."
    )
    publish("objectives", "The objectives against their formulas", "python benchmarks/objectives.py", text)


if __name__ == "__main__":
    main()
