"""A training step against bare loops, plain Lightning and TRL's loss: python benchmarks/training_step.py.

`--device cuda` takes larger batches in bfloat16, `--tiny` only shows that everything runs, and `--compiled` adds rows
with a compiled teacher.
"""

import argparse
import copy
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(Path(__file__).parent), str(ROOT)]

from _report import machine, peak_bytes, publish, ratio, resident, table
from fashion_mnist import silence

from lightning_abkd.losses import ForwardKL
from lightning_abkd.models import causal_lm, causal_lm_from_config, keep_layers, resnet8, resnet20
from lightning_abkd.modules import DistillationModule, LanguageDistillationModule

os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")

# What `make demo-language` leaves.
DEMO_TEACHER = ROOT / "runs" / "demo-language" / "model"
# SmolLM2-135M, whose speed depends on its sizes and not on its weights.
SMOLLM2 = {
    "vocab_size": 49152,
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "tie_word_embeddings": True,
}
TINY_LLAMA = SMOLLM2 | {"vocab_size": 64, "hidden_size": 12, "intermediate_size": 16, "num_attention_heads": 3}
OURS, LOOP, PLAIN, TRL = "this library", "bare loop", "plain LightningModule", "TRL's GKD loss in the loop"

Batch = tuple[Tensor, Tensor] | dict[str, Tensor]
Loss = Callable[[nn.Module, nn.Module, Batch], Tensor]
Optimizer = Callable[[Iterator[nn.Parameter]], torch.optim.Optimizer]


@dataclass(frozen=True)
class Sizes:
    """How large batches and networks are."""

    images: int = 64
    side: int = 32
    sequences: int = 2
    tokens: int = 128
    layers: int = 10
    llama: dict[str, int | bool] | None = None


SIZES = {"cpu": Sizes(), "cuda": Sizes(images=1024, sequences=16, tokens=1024)}
TINY = Sizes(images=4, side=8, sequences=2, tokens=12, layers=1, llama=TINY_LLAMA | {"num_hidden_layers": 2})


class Clock(Callback):
    """Notes when each training step ends, on a GPU by its own clock."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.ends: list[float | torch.cuda.Event] = []

    def lap(self) -> None:
        """Note the end of a step."""
        if self.device == "cpu":
            self.ends.append(time.perf_counter())
        else:
            self.ends.append(torch.cuda.Event(enable_timing=True))
            self.ends[-1].record()

    def seconds(self) -> float:
        """Give the median time of a step but the first."""
        if self.device == "cpu":
            return statistics.median(b - a for a, b in pairwise(self.ends))
        torch.cuda.synchronize()
        return statistics.median(a.elapsed_time(b) / 1e3 for a, b in pairwise(self.ends))

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: object) -> None:
        """Note the end of a step of Lightning."""
        self.lap()


class Stopwatch(Clock):
    """Parts each step among teacher, student (forward and backward), heads and loss, and the rest."""

    def __init__(self, device: str) -> None:
        super().__init__(device)
        self.marks: dict[str, float] = {}
        self.parts = dict.fromkeys(("teacher", "student", "loss", "step"), 0.0)

    @contextmanager
    def on(self, teacher: nn.Module, student: nn.Module) -> Iterator[None]:
        """Watch two networks: what comes before their output layers, if they have a backbone."""
        handles = [p.register_post_accumulate_grad_hook(lambda _: self._mark("done")) for p in student.parameters()]
        for name, network in (("teacher", teacher), ("student", student)):
            part = getattr(network, "base_model", network)
            handles.append(part.register_forward_pre_hook(lambda *_, name=name: self._mark(f"{name} begins")))
            handles.append(part.register_forward_hook(partial(self._ended, name)))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _mark(self, name: str) -> None:
        if self.device != "cpu":
            torch.cuda.synchronize()
        self.marks[name] = time.perf_counter()

    def _ended(self, name: str, module: nn.Module, inputs: object, output: object) -> None:
        self._mark(f"{name} ends")
        output = getattr(output, "last_hidden_state", output)
        if output.requires_grad:
            output.register_hook(lambda _: self._mark("gradient"))

    def lap(self) -> None:
        """Add up the parts of a step but the first."""
        previous, at = self.marks.get("lap"), self.marks
        self._mark("lap")
        if previous is None:
            return
        forward = at["student ends"] - at["student begins"]
        self.parts["teacher"] += at["teacher ends"] - at["teacher begins"]
        self.parts["student"] += forward + at["done"] - at["gradient"]
        self.parts["loss"] += at["gradient"] - max(at["teacher ends"], at["student ends"])
        self.parts["step"] += at["lap"] - previous

    def shares(self) -> list[str]:
        """Give the share of each part, the rest last."""
        shares = [self.parts[name] / self.parts["step"] for name in ("teacher", "student", "loss")]
        return [f"{100 * share:.0f} %" for share in (*shares, 1.0 - sum(shares))]


@dataclass(frozen=True)
class Run:
    """A way to train; `teacher` is the network that it runs."""

    teacher: nn.Module
    train: Callable[[Clock], None]


@dataclass(frozen=True)
class Pair:
    """Two networks, batches of so many images or tokens, and how one trains them."""

    unit: str
    device: str
    teacher: nn.Module
    student: nn.Module
    batches: list[Batch]
    count: int
    loss: Loss
    optimizer: Optimizer
    module: Callable[..., DistillationModule]
    losses: dict[str, Loss]
    halved: bool

    def ways(self, compiled: bool) -> dict[str, Callable[[], Run]]:
        """Give all ways to train, each built when it is called."""
        ways = {
            OURS: self._ours,
            LOOP: lambda: Run(self.teacher, partial(self._loop, self.loss)),
            PLAIN: lambda: Run(self.teacher, partial(self._fit, lambda: Plain(self))),
        }
        if self.halved:
            ways[f"{OURS}, teacher in bfloat16"] = partial(self._ours, dtype="bfloat16")
        if compiled:
            ways[f"{OURS}, teacher compiled"] = partial(self._ours, compiled=True)
        return ways | {
            name: lambda loss=loss: Run(self.teacher, partial(self._loop, loss)) for name, loss in self.losses.items()
        }

    def _ours(self, dtype: str | None = None, compiled: bool = False) -> Run:
        teacher = copy.deepcopy(self.teacher) if dtype or compiled else self.teacher
        if compiled:
            getattr(teacher, "base_model", teacher).compile()
        make = partial(self.module, teacher, self.student, optimizer=self.optimizer, teacher_dtype=dtype)
        # Casts the teacher, which is not to be measured.
        make()
        return Run(teacher, partial(self._fit, make))

    def autocast(self) -> AbstractContextManager[object]:
        """Run in bfloat16 on a GPU."""
        return nullcontext() if self.device == "cpu" else torch.autocast("cuda", torch.bfloat16)

    def _fit(self, make: Callable[[], LightningModule], clock: Clock) -> None:
        on_gpu = {"accelerator": "gpu", "devices": 1, "precision": "bf16-mixed"}
        quiet = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
        options = {"accelerator": "cpu"} if self.device == "cpu" else on_gpu
        trainer = Trainer(max_epochs=1, logger=False, callbacks=[clock], **options, **quiet)
        trainer.fit(make(), DataLoader(self.batches, batch_size=None))

    def _loop(self, loss: Loss, clock: Clock) -> None:
        optimizer = self.optimizer(self.student.parameters())
        self.teacher.to(self.device), self.student.to(self.device).train()
        for batch in DataLoader(self.batches, batch_size=None):
            named = batch if isinstance(batch, dict) else dict(enumerate(batch))
            moved = {name: x.to(self.device, non_blocking=True) for name, x in named.items()}
            with self.autocast():
                value = loss(self.teacher, self.student, moved if isinstance(batch, dict) else tuple(moved.values()))
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            clock.lap()


class Plain(LightningModule):
    """The same step as a few lines of Lightning."""

    def __init__(self, pair: Pair) -> None:
        super().__init__()
        self.teacher, self.student, self.pair = pair.teacher, pair.student, pair

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Compute and log the loss."""
        loss = self.pair.loss(self.teacher, self.student, batch)
        self.log("loss", loss, prog_bar=True)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Train the student."""
        return self.pair.optimizer(self.student.parameters())


def of_images(teacher: nn.Module, student: nn.Module, batch: Batch) -> Tensor:
    """Compute cross-entropy and T² times forward KL as one writes them, T = 4."""
    with torch.no_grad():
        target = F.log_softmax(teacher(batch[0]) / 4.0, -1)
    logits = student(batch[0])
    distance = F.kl_div(F.log_softmax(logits / 4.0, -1), target, reduction="batchmean", log_target=True)
    return F.cross_entropy(logits, batch[1]) + 16.0 * distance


def of_tokens(
    divergence: Callable[[Tensor, Tensor, Tensor], Tensor], teacher: nn.Module, student: nn.Module, batch: Batch
) -> Tensor:
    """Compute a divergence of full logits."""
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
    with torch.no_grad():
        target = teacher(**inputs, use_cache=False).logits[:, :-1]
    return divergence(student(**inputs, use_cache=False).logits[:, :-1], target, batch["labels"][:, 1:])


def kl(student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
    """Compute the mean forward KL of the labelled tokens."""
    student, teacher = (F.log_softmax(x[labels != -100], -1) for x in (student, teacher))
    return F.kl_div(student, teacher, reduction="batchmean", log_target=True)


def trl_kl(student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
    """Compute the same by TRL."""
    from trl.experimental.gkd import GKDTrainer

    return GKDTrainer.generalized_jsd_loss(student, teacher, labels, beta=0.0)


def vision(sizes: Sizes, device: str, steps: int) -> Pair:
    """ResNet-20 to ResNet-8 on noise."""
    torch.manual_seed(0)
    shape = (sizes.images, 3, sizes.side, sizes.side)
    batches = [(torch.randn(shape), torch.randint(0, 100, shape[:1])) for _ in range(steps + 1)]
    networks = resnet20().requires_grad_(False).eval(), resnet8()
    sgd = partial(torch.optim.SGD, lr=0.05, momentum=0.9, weight_decay=5e-4)
    module = partial(DistillationModule, divergence=ForwardKL(4.0, scale_by_temperature=True))
    return Pair("images", device, *networks, batches, sizes.images, of_images, sgd, module, {}, halved=False)


def language(sizes: Sizes, device: str, steps: int, folder: Path) -> Pair:
    """SmolLM2-135M to its first layers; a quarter of each sequence is a prompt and does not count."""
    torch.manual_seed(0)
    real = sizes.llama is None and folder.exists()
    teacher = causal_lm(str(folder)) if real else causal_lm_from_config("llama", sizes.llama or SMOLLM2)
    student = keep_layers(teacher, list(range(sizes.layers)))
    shape = (sizes.sequences, sizes.tokens)
    batches = []
    for _ in range(steps + 1):
        ids = torch.randint(0, teacher.config.vocab_size, shape)
        labels = ids.masked_fill(torch.arange(sizes.tokens) < sizes.tokens // 4, -100)
        batches.append({"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels})
    module = partial(LanguageDistillationModule, divergence=ForwardKL(), task_weight=0.0)
    teacher.requires_grad_(False).eval()
    losses, adamw = [partial(of_tokens, f) for f in (kl, trl_kl)], partial(torch.optim.AdamW, lr=1e-5)
    plain, trl = losses
    count = sizes.sequences * sizes.tokens
    return Pair("tokens", device, teacher, student, batches, count, plain, adamw, module, {TRL: trl}, halved=True)


def pair_of(name: str, options: argparse.Namespace) -> Pair:
    """Build one of both pairs."""
    sizes = TINY if options.tiny else SIZES[options.device]
    build = vision if name == "vision" else partial(language, folder=options.teacher)
    return build(sizes, options.device, options.steps)


def measure_memory(pair: Pair, way: Callable[[], Run]) -> None:
    """Print by how many bytes training raises the peak above networks and batches."""
    run, on_gpu = way(), pair.device != "cpu"
    for network in (run.teacher, pair.student):
        network.to(pair.device)
    before = torch.cuda.memory_allocated() if on_gpu else resident(afresh=True)
    run.train(Clock(pair.device))
    print((torch.cuda.max_memory_allocated() if on_gpu else resident()) - before)


def measure(pair: Pair, compiled: bool, rounds: int, peak: Callable[[str], int]) -> str:
    """Let all ways take turns; give the table of those that run and why the others do not."""
    runs, rows = {}, []
    for name, way in pair.ways(compiled).items():
        try:
            run, watch = way(), Stopwatch(pair.device)
            with watch.on(run.teacher, pair.student):
                run.train(watch)
            runs[name] = run, watch.shares()
        except Exception as error:
            # A peer may fail in any way that it likes.
            rows.append([name, f"failed: {type(error).__name__}: {str(error).splitlines()[0][:90]}", *[""] * 6])
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, (run, _) in runs.items():
            clock = Clock(pair.device)
            run.train(clock)
            times[name].append(clock.seconds())
    measured = []
    for name, (_, shares) in runs.items():
        speed, slower = pair.count / statistics.median(times[name]), ratio(times, name, OURS)
        measured.append([name, f"{speed:.0f}", f"{slower:.3f}", f"{peak(name) / 2**20:.0f} MiB", *shares])
    header = ["", f"{pair.unit}/s", "time / ours", "peak memory", "teacher", "student", "loss", "rest"]
    return table(header, measured + rows)


def arguments(command: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=list(SIZES), default="cpu")
    parser.add_argument("--rounds", type=int, default=7, help="rounds in which the candidates take turns")
    parser.add_argument("--steps", type=int, default=8, help="steps that are timed in each round")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--teacher", type=Path, default=DEMO_TEACHER, help="folder of SmolLM2-135M")
    parser.add_argument("--tiny", action="store_true", help="tiny sizes; nothing is written")
    parser.add_argument("--compiled", action="store_true", help="add rows with a compiled teacher")
    parser.add_argument("--memory", nargs=2, metavar=("PAIR", "NAME"), help="measure the memory of one candidate")
    return parser.parse_args(command)


def main(command: list[str] | None = None) -> None:
    """Write the tables of both pairs."""
    options = arguments(command)
    torch.set_num_threads(options.threads)
    silence()
    if options.memory:
        pair = pair_of(options.memory[0], options)
        measure_memory(pair, pair.ways(options.compiled)[options.memory[1]])
        return
    again = list(command if command is not None else sys.argv[1:])
    tables = {}
    for name in ("vision", "language"):
        peak = partial(lambda name, way: peak_bytes(__file__, *again, "--memory", name, way), name)
        tables[name] = measure(pair_of(name, options), options.compiled, options.rounds, peak)
    publish_all(tables, options)


def publish_all(tables: dict[str, str], options: argparse.Namespace) -> None:
    """Say what was measured."""
    sizes, on_gpu = TINY if options.tiny else SIZES[options.device], options.device == "cuda"
    weights = "its own weights" if options.teacher.exists() else "random weights of its sizes"
    precision = "bfloat16 autocast" if on_gpu else "float32"
    where = f"{torch.cuda.get_device_name()}, {machine()}" if on_gpu else machine()
    text = (
        f"{precision}; median of {options.rounds} rounds in which the candidates take turns, of the median of "
        f"{options.steps} steps in each; memory beyond networks and batches, gradients and the optimizer's state "
        "included. Student: forward and backward; loss: for language with both output layers, forward and backward; "
        f"rest: optimizer, data and trainer. Shares are of a run of their own. {where}.\n\n"
        f"ResNet-20 to ResNet-8, {sizes.images} images of {sizes.side}×{sizes.side}, cross-entropy and KD, SGD:\n\n"
        f"{tables['vision']}\n\nSmolLM2-135M with {weights} to its first {sizes.layers} layers, "
        f"{sizes.sequences} sequences of {sizes.tokens} tokens, three quarters of them counted, forward KL, AdamW:\n\n"
        f"{tables['language']}"
    )
    if options.tiny:
        print(text)
        return
    name = "training_step_gpu" if on_gpu else "training_step"
    chosen = " --device cuda" if on_gpu else ""
    publish(name, f"A training step{' on a GPU' * on_gpu}", f"python benchmarks/training_step.py{chosen}", text)


if __name__ == "__main__":
    main()
