"""Time, memory and error of the loss from hidden states against everything else that computes it.

python benchmarks/language_head.py                  processor, float32
python benchmarks/language_head.py --quick          a small size, printed only
python benchmarks/language_head.py --device cuda    GPU, bfloat16, several sizes
"""

import argparse
import shlex
import statistics
import sys
from collections.abc import Callable
from functools import partial
from itertools import product
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]

from _inputs import states
from _peers import FORWARD, GKD, MIXTURE, PACKAGES, PAIRS, REVERSE, kl_div, unfused as from_logits
from _report import alone, failures, growth, interleaved, machine, publish, ratio, table

from lightning_abkd.losses import AlphaBetaDivergence, Divergence, JensenShannon, OutputHead, against_head, head_loss

# Tokens, hidden size, vocabulary.
SIZES = {
    "cpu": [(2048, 576, 49152)],
    "cuda": [*product([2048, 8192, 32768], [2048, 4096], [32000, 128256, 151936])],
}
QUICK = [(64, 32, 1000)]
DTYPES = {"cpu": torch.float32, "cuda": torch.bfloat16}
SECTIONS = {
    "cpu": ("language_head", "The output head of a language model"),
    "cuda": ("language_head_cuda", "The output head of a language model on a GPU"),
}
POINTS = (FORWARD, REVERSE, "(0.2, 0.7)", MIXTURE)
LIMIT = "matrix products alone"

# Hidden states and head of the student, of the teacher.
Inputs = tuple[Tensor, Tensor, Tensor, Tensor]
Loss = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor | None], Tensor]


def fused(*inputs: Tensor | None, divergence: Divergence) -> Tensor:
    """The library's loss of hidden states."""
    hidden, weight, teacher_hidden, teacher_weight, labels = inputs
    compare = against_head(teacher_hidden, OutputHead(teacher_weight))
    return head_loss(hidden, OutputHead(weight), labels, compare, divergence).loss


def unfused(*inputs: Tensor | None, divergence: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """A divergence of full logits, and their cross-entropy."""
    hidden, weight, teacher_hidden, teacher_weight, labels = inputs
    student, teacher = hidden @ weight.T, teacher_hidden @ teacher_weight.T
    distance = divergence(student, teacher)
    wide = student.to(torch.promote_types(student.dtype, torch.float32))
    return distance if labels is None else distance + F.cross_entropy(wide, labels)


def liger_chunked(*inputs: Tensor | None, beta: float) -> Tensor:
    """Liger-Kernel's chunked loss, the compiled one that it takes by default."""
    from liger_kernel.chunked_loss import LigerFusedLinearJSDLoss

    *states_, labels = inputs
    counted = torch.zeros(len(states_[0]), dtype=torch.long, device=states_[0].device) if labels is None else labels
    return LigerFusedLinearJSDLoss(float(labels is not None), 1.0, beta=beta)(*states_, counted)


def liger_fused(*inputs: Tensor | None, beta: float) -> Tensor:
    """Liger-Kernel's kernel, which has no cross-entropy."""
    from liger_kernel.transformers.fused_linear_jsd import LigerFusedLinearJSD

    return LigerFusedLinearJSD(jsd_beta=beta)(*inputs)


def trl(*inputs: Tensor | None, beta: float) -> Tensor:
    """TRL's chunked divergence, which has no cross-entropy."""
    from trl.kernels.chunked_divergence import ChunkedDivergenceFunction

    hidden, weight, teacher_hidden, teacher_weight, _ = inputs
    return ChunkedDivergenceFunction.apply(hidden, weight, None, teacher_hidden, teacher_weight, None, beta)[0].mean()


def candidates(point: str, with_task: bool, device: str) -> dict[str, Loss]:
    """Name what computes the divergence of a point, with the cross-entropy or alone; ours first."""
    divergence = JensenShannon() if point == MIXTURE else AlphaBetaDivergence(*PAIRS[point])
    divergence = divergence.to(device)
    found = {"fused": partial(fused, divergence=divergence), "unfused": partial(unfused, divergence=divergence)}
    if point in (FORWARD, REVERSE):
        found["unfused, F.kl_div"] = partial(unfused, divergence=partial(kl_div, point=point))
    if point in GKD:
        found["Liger chunked"] = partial(liger_chunked, beta=GKD[point])
    if point in GKD and not with_task:
        found |= {"Liger fused": partial(liger_fused, beta=GKD[point]), "TRL chunked": partial(trl, beta=GKD[point])}
    return found


def draw(tokens: int, width: int, classes: int, device: str, with_task: bool) -> tuple[Inputs, Tensor | None]:
    """Draw hidden states, heads and next tokens."""
    inputs = states(tokens, classes, width, device, DTYPES[device])
    for leaf in inputs[:2]:
        leaf.requires_grad_()
    return inputs, torch.randint(classes, (tokens,), device=device) if with_task else None


def step(loss: Loss, inputs: Inputs, labels: Tensor | None) -> None:
    """Run one forward and backward pass, to the gradients of hidden states and head."""
    inputs[0].grad = inputs[1].grad = None
    loss(*inputs, labels).backward()


@torch.no_grad()
def products(inputs: Inputs) -> tuple[Tensor, Tensor, Tensor]:
    """Multiply what must be multiplied: the logits of both, and two gradients by what has the size of logits."""
    hidden, weight, teacher_hidden, teacher_weight = inputs
    logits = hidden @ weight.T
    return teacher_hidden @ teacher_weight.T, logits @ weight, logits.T @ hidden


def peak(point: str, name: str, with_task: bool, size: tuple[int, int, int]) -> int:
    """Measure by how many bytes a step raises the peak of this process above its inputs."""
    inputs = draw(*size, "cpu", with_task)
    # The memory of a compiler is not that of a step. Buffers that a loss keeps are, so that a new one is measured.
    step(candidates(point, with_task, "cpu")[name], *inputs)
    inputs[0][0].grad = inputs[0][1].grad = None
    return growth(partial(step, candidates(point, with_task, "cpu")[name], *inputs), "cpu")


def error(loss: Loss, point: str, inputs: Inputs, labels: Tensor | None) -> str:
    """Compare value and gradients of the first 256 tokens with float64: the larger relative error of each."""
    hidden, weight, teacher_hidden, teacher_weight = (x.detach() for x in inputs)
    labels, results = None if labels is None else labels[:256], []
    exact = partial(unfused, divergence=partial(from_logits, point=point, dtype=torch.float64))
    for function, dtype in ((loss, hidden.dtype), (exact, torch.float64)):
        few = hidden[:256], weight, teacher_hidden[:256], teacher_weight
        few = [x.to(dtype, copy=True) for x in few]
        leaves = [x.requires_grad_() for x in few[:2]]
        value = function(*few, labels)
        value.backward()
        results.append([value.detach(), *(leaf.grad for leaf in leaves)])
    value, *gradients = (((a - b).abs().max() / b.abs().max()).item() for a, b in zip(*results, strict=True))
    return f"{value:.0e} / {max(gradients):.0e}"


class Tables:
    """The figures with the cross-entropy or of the divergence alone: a row for every point and size."""

    def __init__(self, with_task: bool, arguments: argparse.Namespace) -> None:
        self.with_task, self.arguments, self.device = with_task, arguments, arguments.device
        every = {name: None for point in arguments.points for name in candidates(point, with_task, self.device)}
        self.names = [*every, LIMIT]
        self.rows: dict[str, list[list[str]]] = {"time": [], "memory, MiB": [], "error, value / gradient": []}
        self.failed: dict[str, str] = {}

    def measure(self, point: str, size: tuple[int, int, int]) -> None:
        """Add a row to each table."""
        torch.compiler.reset()
        inputs, labels = draw(*size, self.device, self.with_task)
        losses = candidates(point, self.with_task, self.device)
        calls = {name: partial(step, loss, inputs, labels) for name, loss in losses.items()}
        failed = failures(calls)
        self.failed |= failed
        calls = {name: call for name, call in calls.items() if name not in failed} | {LIMIT: partial(products, inputs)}
        times = interleaved(calls, self.arguments.repeats, self.device)
        peaks = {name: f"{self._peak(point, name, size, calls, inputs) / 2**20:.0f}" for name in calls if name != LIMIT}
        errors = {name: error(losses[name], point, inputs, labels) for name in peaks}
        for table_, cells in zip(self.rows.values(), (_times(times), peaks, errors), strict=True):
            every = dict.fromkeys(self.names, "–") | dict.fromkeys(failed, "failed") | cells
            table_.append([f"{point}, {'×'.join(map(str, size))}", *every.values()])

    def _peak(self, point: str, name: str, size: tuple[int, int, int], calls: dict, inputs: Inputs) -> int:
        inputs[0].grad = inputs[1].grad = None
        if self.device == "cpu":
            return alone(peak, point, name, self.with_task, size)
        return growth(calls[name], self.device)

    def text(self) -> str:
        """Lay out what was measured."""
        parts = ["### Cross-entropy and divergence" if self.with_task else "### The divergence alone"]
        ratios = ["fused", *(f"fused / {name}" for name in self.names[1:])]
        for what, rows in self.rows.items():
            parts.append(table([what, *(ratios if what == "time" else self.names)], rows))
        return "\n\n".join(parts + [f"{name} failed: {why}" for name, why in self.failed.items()])


def _times(times: dict[str, list[float]]) -> dict[str, str]:
    if "fused" not in times:
        return {}
    ratios = {name: f"{ratio(times, 'fused', name):.2f}" for name in times}
    return ratios | {"fused": f"{statistics.median(times['fused']) * 1e3:.3g} ms"}


def main(options: list[str] | None = None) -> None:
    """Write the tables."""
    options = sys.argv[1:] if options is None else options
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=list(SIZES), default="cpu")
    parser.add_argument("--tokens", type=int, help="one size instead of the device's, with the two below")
    parser.add_argument("--hidden", type=int, default=576)
    parser.add_argument("--vocabulary", type=int, default=49152)
    parser.add_argument("--points", nargs="+", choices=POINTS, default=[FORWARD, "(0.2, 0.7)", MIXTURE])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="a small size, printed only")
    arguments = parser.parse_args(options)
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    sizes = QUICK if arguments.quick else SIZES[arguments.device]
    if arguments.tokens:
        sizes = [(arguments.tokens, arguments.hidden, arguments.vocabulary)]
    texts = []
    for with_task in (False, True):
        found = Tables(with_task, arguments)
        for point, size in product(arguments.points, sizes):
            print(point, *size, file=sys.stderr)
            try:
                found.measure(point, size)
            except torch.OutOfMemoryError:
                found.failed["×".join(map(str, size))] = "does not fit"
        texts.append(found.text())
    dtype = str(DTYPES[arguments.device]).removeprefix("torch.")
    text = (
        f"Tokens × hidden size × vocabulary in {dtype}, forward and backward, to the gradients of hidden "
        f"states and head; median of {arguments.repeats} rounds in which all take turns. Time: fused, and its "
        "ratio to the others (below 1 is faster), to the last of which is the products that cannot be saved, "
        "two of the logits and two of the gradient. Memory: peak beyond the inputs, gradients included. "
        "Error: the largest against float64, of the value relative to it and of the gradients relative to "
        "their largest entries, on 256 tokens. Hidden states and heads are Gaussian, with entropies of two "
        f"nats. {machine(arguments.device, *PACKAGES)}.\n\n"
    )
    command = shlex.join(["python", "benchmarks/language_head.py", *options])
    publish(*SECTIONS[arguments.device], command, text + "\n\n".join(texts), write=not arguments.quick)


if __name__ == "__main__":
    main()
