"""Steps and bytes of two processes against plain Lightning under the same strategy: python benchmarks/cluster.py."""

import argparse
import itertools
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.strategies import ModelParallelStrategy
from torch import Tensor, nn
from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method
from torch.utils.data import DataLoader, TensorDataset

from _report import machine, publish, table
from _training import silence
from lightning_abkd.losses import ForwardKL
from lightning_abkd.modules import DistillationModule

RANKS = 2
BATCH, INPUTS, CLASSES = 64, 256, 100
STRATEGIES = ("ddp", "fsdp2")


def network(width: int, seed: int) -> nn.Module:
    """Build layers of one width."""
    torch.manual_seed(seed)
    layers = [INPUTS, width, width, width, CLASSES]
    pairs = [[nn.Linear(a, b), nn.ReLU()] for a, b in itertools.pairwise(layers)]
    return nn.Sequential(*[part for pair in pairs for part in pair][:-1])


class Plain(LightningModule):
    """What a user writes without this package."""

    def __init__(self, teacher: nn.Module, student: nn.Module) -> None:
        super().__init__()
        self.student = student
        self.kept = [teacher.requires_grad_(False).eval()]

    def configure_model(self) -> None:
        """Shard as our module does."""
        if self.device_mesh is not None:
            for layer in self.student.children():
                if isinstance(layer, nn.Linear):
                    fully_shard(layer, mesh=self.device_mesh["data_parallel"])
            fully_shard(self, mesh=self.device_mesh["data_parallel"])
            register_fsdp_forward_method(self, "training_step")

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Compute cross-entropy and forward KL."""
        inputs, labels = batch
        with torch.no_grad():
            teacher = self.kept[0](inputs).log_softmax(-1)
        logits = self.student(inputs)
        divergence = nn.functional.kl_div(logits.log_softmax(-1), teacher, reduction="batchmean", log_target=True)
        return nn.functional.cross_entropy(logits, labels) + divergence

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Build AdamW."""
        return torch.optim.AdamW(self.student.parameters())


class Clock(Callback):
    """Times every step but the first ones."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.works: list[float] = []

    def on_train_batch_end(self, *_: Any) -> None:
        """Remember when a step ended."""
        self.times.append(time.perf_counter())
        self.works.append(time.process_time())

    def medians(self) -> tuple[float, float]:
        """Return the median time of a step, and of the CPU in it."""
        passed = (itertools.pairwise(each[5:]) for each in (self.times, self.works))
        elapsed, worked = (statistics.median(b - a for a, b in each) for each in passed)
        return elapsed, worked


def local_bytes(tensors: Any) -> int:
    """Add up what this rank has."""
    return sum(getattr(tensor, "to_local", lambda t=tensor: t)().nbytes for tensor in tensors)


def train(name: str, ours: bool, steps: int, placement: str = "replicate") -> dict[str, float]:
    """Train once; return the time of a step, and bytes of weights, gradients with optimizer, and teacher."""
    teacher, student = network(1024, 1), network(512, 2)
    module: LightningModule = Plain(teacher, student)
    if ours:
        module = DistillationModule(teacher, student, ForwardKL(), teacher_placement=placement)
    strategy = ModelParallelStrategy(RANKS, 1) if name == "fsdp2" else name
    off: dict[str, Any] = dict.fromkeys(
        ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False
    )
    clock = Clock()
    run = Trainer(
        accelerator="cpu", devices=RANKS, strategy=strategy, max_steps=steps, callbacks=[clock],
        log_every_n_steps=50, **off,
    )  # fmt: skip
    data = TensorDataset(torch.randn(steps * BATCH * RANKS, INPUTS), torch.randint(CLASSES, (steps * BATCH * RANKS,)))
    run.fit(module, DataLoader(data, BATCH))
    states = [state for each in run.optimizers[0].state.values() for state in each.values()]
    elapsed, worked = clock.medians()
    return {
        "step": elapsed,
        "work": worked,
        "student": local_bytes(module.parameters()),
        "optimizer": local_bytes(states),
        "teacher": local_bytes(teacher.parameters()),
    }


def work(steps: int, rounds: int) -> None:
    """Measure on one rank, plain Lightning and ours in turn; the first rank prints."""
    silence()
    torch.set_num_threads(1)
    found: dict[str, Any] = {}
    for name in STRATEGIES:
        pairs = [(train(name, False, steps), train(name, True, steps)) for _ in range(rounds)]
        ratios = {key: sorted(ours[key] / plain[key] for plain, ours in pairs) for key in ("step", "work")}
        shard = train(name, True, 8, "shard")
        found[name] = {"plain": pairs[0][0], "ours": pairs[0][1], "ratios": ratios, "sharded": shard["teacher"]}
        found[name]["times"] = [statistics.median(pair[i]["step"] for pair in pairs) for i in (0, 1)]
    if os.environ["RANK"] == "0":
        print(json.dumps(found))


def launch(options: argparse.Namespace) -> dict[str, Any]:
    """Start the ranks as torchrun does, and read what the first one prints."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    common = os.environ | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(RANKS)}
    common |= {"LOCAL_WORLD_SIZE": str(RANKS), "GROUP_RANK": "0", "TORCHELASTIC_RUN_ID": "benchmark"}
    command = [sys.executable, __file__, "--rank", "--steps", str(options.steps), "--rounds", str(options.rounds)]
    ranks = [
        subprocess.Popen(command, env=common | {"RANK": str(i), "LOCAL_RANK": str(i)}, stdout=subprocess.PIPE)
        for i in range(RANKS)
    ]
    outputs = [rank.communicate()[0] for rank in ranks]
    found: dict[str, Any] = json.loads(outputs[0].splitlines()[-1])
    return found


def megabytes(count: float) -> str:
    """Write bytes."""
    return f"{count / 2**20:.2f} MiB"


def report(found: dict[str, Any], options: argparse.Namespace) -> None:
    """Publish both tables."""
    times, sizes = [], []
    for name, one in found.items():
        plain, ours = (f"{1e3 * seconds:.2f} ms" for seconds in one["times"])
        ratios = (f"{statistics.median(x):.2f} ({x[0]:.2f} to {x[-1]:.2f})" for x in one["ratios"].values())
        times.append([name, plain, ours, *ratios])
        bytes_ = [one["ours"]["student"], one["ours"]["optimizer"], one["ours"]["teacher"], one["sharded"]]
        sizes.append([name, *map(megabytes, bytes_)])
    text = (
        f"Two processes on one machine, gloo, one thread each; perceptrons of width 512 and 1024, {BATCH} rows a rank, "
        f"float32, AdamW. Medians over {options.rounds} pairs of runs of {options.steps} steps, plain Lightning and "
        "ours in turn, each with its own trainer; in brackets the smallest and the largest ratio of a pair. "
        f"{options.note}{machine()}.\n\n"
        + table(["strategy", "plain Lightning", "ours", "ours / plain, time", "ours / plain, time of the CPU"], times)
        + "\n\nBytes on the first rank:\n\n"
        + table(["strategy", "student", "optimizer", "teacher, replicate", "teacher, shard"], sizes)
    )
    publish("cluster", "Two processes", "python benchmarks/cluster.py", text, not options.tiny)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rank", action="store_true", help="measure as one of the ranks")
    parser.add_argument("--tiny", action="store_true", help="show that everything runs, and write nothing")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--note", default="", help="what to say of the machine, such as that others used it, too")
    chosen = parser.parse_args()
    if chosen.tiny:
        chosen.steps, chosen.rounds = 10, 1
    if chosen.rank:
        work(chosen.steps, chosen.rounds)
    else:
        report(launch(chosen), chosen)
