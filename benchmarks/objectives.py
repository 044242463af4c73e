"""Time of each objective against its formula as printed, and of a training step: python benchmarks/objectives.py."""

import argparse
import statistics
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

import _literal as literal
from _report import machine, publish, table
from _timing import interleaved, ratio
from _training import Batches, Clock, quiet_trainer, silence
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
Pair = tuple[Tensor, Tensor]
Objectives = dict[str, tuple[DistillationLoss, Literal]]
BATCH = 256
STUDENT_DIM = 64
TEACHER_DIM = 256
STORED = 50_000
NEGATIVES = 512


def pair(signals: Signals, suffix: str = "") -> Pair:
    """Return the logits of student and teacher."""
    return signals[f"student_logits{suffix}"], signals[f"teacher_logits{suffix}"]


def of_logits() -> Objectives:
    """Name each objective of logits and the formula that it is compared with."""
    squared = partial(AlphaBetaDivergence, scale_by_temperature=True)
    return {
        "KD": (ForwardKL(4.0, True), lambda x: literal.kl(*pair(x), 4.0)),
        "AB": (AlphaBetaDivergence(0.8, 0.3, 4.0), lambda x: literal.ab(*pair(x), 4.0, 0.8, 0.3)),
        "DKD": (DKD(), lambda x: literal.dkd(*pair(x), x["labels"], 8.0, 4.0)),
        "AB-DKD": (DKD(squared(0.8, 0.2, 4.0)), lambda x: literal.ab_dkd(*pair(x), x["labels"], 8.0, 4.0)),
        "LSD": (LSD(), lambda x: literal.lsd(*pair(x), 2.0)),
        "AB-LSD": (LSD(squared(0.9, 0.3, 2.0)), lambda x: literal.ab_lsd(*pair(x), 2.0)),
        "TTM": (TTM(power=0.1), lambda x: literal.ttm(*pair(x), 0.1)),
        "AB-TTM": (TTM(AlphaBetaDivergence(0.8, 0.3), 0.1), lambda x: literal.ab_ttm(*pair(x), 0.1)),
        "WTTM": (WTTM(power=0.2), lambda x: literal.wttm(*pair(x), 0.2)),
        "DIST": (DIST(), lambda x: literal.dist(*pair(x), 4.0)),
        "MLKD": (MLKD(), lambda x: literal.mlkd(pair(x), pair(x, "_strong"))),
    }


def of_features() -> tuple[Objectives, Tensor]:
    """Name each objective of features and its formula on the same heads and memories, and return CRD's negatives."""
    crd = CRD(STORED, STUDENT_DIM, TEACHER_DIM, negatives=NEGATIVES)
    itrd = ITRD(STUDENT_DIM, TEACHER_DIM)
    # The first batch fixes Z.
    crd(torch.randn(BATCH, STUDENT_DIM), torch.randn(BATCH, TEACHER_DIM), torch.arange(BATCH))
    objectives: Objectives = {
        "ITRD": (itrd, lambda x: literal.itrd(x["student_features"], x["teacher_features"], itrd)),
        "CRD": (crd, lambda x: literal.crd(x["student_features"], x["teacher_features"], x["index"], crd)),
    }
    return objectives, crd._draw(torch.device("cpu"))


def draw(classes: int, drawn: Tensor) -> Signals:
    """Draw a batch; its samples are none of the negatives `drawn`, which the formula does not exclude."""
    torch.manual_seed(0)
    names = ("student_logits", "student_logits_strong", "teacher_logits", "teacher_logits_strong")
    signals = {name: 3 * torch.randn(BATCH, classes) for name in names}
    signals["student_features"] = torch.randn(BATCH, STUDENT_DIM)
    signals["teacher_features"] = torch.randn(BATCH, TEACHER_DIM)
    for name, signal in signals.items():
        signal.requires_grad_(name.startswith("student"))
    stored = torch.arange(STORED)
    signals["index"] = stored[~torch.isin(stored, drawn)][:BATCH]
    signals["labels"] = torch.randint(0, classes, (BATCH,))
    return signals


def run(objective: Literal, signals: Signals, calls: int = 1) -> tuple[float, Tensor]:
    """Run forward and backward passes, and return the value and the gradient of the student's signals."""
    leaves = [x for x in signals.values() if x.requires_grad]
    for _ in range(calls):
        for x in leaves:
            x.grad = None
        value = objective(signals)
        value.backward()
    return value.item(), torch.cat([x.grad.flatten() for x in leaves if x.grad is not None])


def on_signals(loss: DistillationLoss) -> Literal:
    """Call a loss with the signals that it takes from a batch."""
    names = loss.required_signals

    def objective(signals: Signals) -> Tensor:
        value: Tensor = loss(**{name: signals[name] for name in names})
        return value

    return objective


def difference(ours: DistillationLoss, other: Literal, signals: Signals) -> float:
    """Compute the largest relative difference of value and gradient, the gradient's by its largest entry."""
    value, gradient = run(on_signals(ours.eval()), signals)
    printed, expected = run(other, signals)
    ours.train()
    of_gradient = (gradient - expected).abs().max() / expected.abs().max()
    return max(abs(value / printed - 1.0), float(of_gradient))


def compare(objectives: Objectives, signals: Signals, rounds: int) -> dict[str, list[str]]:
    """Measure each objective: its time, the ratio to the formula's, and how far both are apart."""
    cells = {}
    for name, (ours, other) in objectives.items():
        apart = difference(ours, other, signals)
        mine = on_signals(ours)
        once = min(interleaved({"ours": partial(run, mine, signals)}, 3)["ours"])
        # A round takes about 20 ms.
        calls = max(1, round(0.02 / once))
        candidates = {"ours": partial(run, mine, signals, calls), "other": partial(run, other, signals, calls)}
        times = interleaved(candidates, rounds)
        microseconds = statistics.median(times["ours"]) / calls * 1e6
        cells[name] = [f"{microseconds:.0f} µs", f"{ratio(times, 'ours', 'other'):.2f}", f"{apart:.1e}"]
        print(name, *cells[name], flush=True)
    return cells


def train_module(teacher: nn.Module, student: nn.Module, batches: Batches[Pair]) -> float:
    """Train with the module and return the median time of a step."""
    sgd = partial(torch.optim.SGD, lr=0.05, momentum=0.9, weight_decay=5e-4)
    module = DistillationModule(teacher, student, ForwardKL(4.0, True), optimizer=sgd)
    clock = Clock()
    trainer = quiet_trainer(max_epochs=1, accelerator="cpu", callbacks=[clock])
    trainer.fit(module, DataLoader(batches, batch_size=None))
    return clock.seconds()


def train_loop(teacher: nn.Module, student: nn.Module, batches: Batches[Pair]) -> float:
    """Train with a loop in plain torch and return the median time of a step."""
    optimizer = torch.optim.SGD(student.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
    teacher.eval()
    student.train()
    clock = Clock()
    for images, labels in DataLoader(batches, batch_size=None):
        with torch.no_grad():
            targets = teacher(images)
        logits = student(images)
        loss = F.cross_entropy(logits, labels) + literal.kl(logits, targets, 4.0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        clock.lap()
    return clock.seconds()


def overhead(rounds: int, steps: int = 12) -> tuple[float, float]:
    """Measure the median time of a step by the loop, and by how much the module's is longer, both taking turns."""
    torch.manual_seed(0)
    teacher = resnet20().requires_grad_(False)
    student = resnet8()
    batches = Batches([(torch.randn(64, 3, 32, 32), torch.randint(0, 100, (64,))) for _ in range(steps + 1)])
    times: dict[str, list[float]] = {"module": [], "loop": []}
    for _ in range(rounds):
        times["module"].append(train_module(teacher, student, batches))
        times["loop"].append(train_loop(teacher, student, batches))
    return statistics.median(times["loop"]), ratio(times, "module", "loop") - 1.0


def table_of_logits(columns: dict[int, dict[str, list[str]]]) -> str:
    """Lay out the objectives of logits, with three columns for each number of classes."""
    header = ["objective", *(f"{BATCH}×{n}, {what}" for n in columns for what in ("ours", "ratio", "difference"))]
    names = next(iter(columns.values()))
    return table(header, [[name, *(cell for cells in columns.values() for cell in cells[name])] for name in names])


def main() -> None:
    """Write both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=21, help="rounds in which the candidates take turns")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    silence()
    features, drawn = of_features()
    columns = {classes: compare(of_logits(), draw(classes, drawn), options.rounds) for classes in (100, 1000)}
    of_both = compare(features, draw(2, drawn), options.rounds)
    loop, longer = overhead(options.rounds)
    text = (
        "Forward and backward, float32: time, ratio to the formula as papers and released code have it in plain torch "
        "(below 1 is faster), and the largest difference of value and gradient between both, relative. Median of "
        f"{options.rounds} rounds in which both take turns. {machine()}.\n\n{table_of_logits(columns)}\n\n"
        f"Features of {BATCH} samples, {STUDENT_DIM} and {TEACHER_DIM} wide; CRD with {NEGATIVES} negatives, which the "
        "formula gathers for each sample and ours shares:\n\n"
        + table(["objective", "ours", "ratio", "difference"], [[name, *cells] for name, cells in of_both.items()])
        + f"\n\nA step of `DistillationModule` (ResNet-20 to ResNet-8, 64 images of 32×32, KD) takes "
        f"{100 * longer:.1f} % longer than the {loop * 1e3:.0f} ms of a plain loop with the same networks."
    )
    publish("objectives", "The objectives against their formulas", "python benchmarks/objectives.py", text)


if __name__ == "__main__":
    main()
