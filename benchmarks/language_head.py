"""Time, memory and error of the loss from hidden states, compared with everything else that computes it.

python benchmarks/language_head.py                  CPU, float32
python benchmarks/language_head.py --quick          a small size, printed only
python benchmarks/language_head.py --device cuda    GPU, bfloat16, several sizes
"""

import argparse
from functools import partial
from itertools import product

import torch
from torch import Tensor

from _command import DTYPES, dtype_name, label, measure_if_it_fits, parse, parser
from _heads import Loss, candidates, unfused
from _inputs import States, states
from _memory import alone, growth
from _peers import FORWARD, MIXTURE, PACKAGES, REVERSE, unfused as from_logits
from _report import machine, publish, table
from _timing import Call, failures, interleaved, milliseconds, ratio

# Tokens, hidden size, vocabulary.
Size = tuple[int, int, int]
SIZES: dict[str, list[Size]] = {
    "cpu": [(2048, 576, 49152)],
    "cuda": [*product([2048, 8192, 32768], [2048, 4096], [32000, 128256, 151936])],
}
QUICK: list[Size] = [(64, 32, 1000)]
SECTIONS = {
    "cpu": ("language_head", "The output head of a language model"),
    "cuda": ("language_head_cuda", "The output head of a language model on a GPU"),
}
POINTS = (FORWARD, REVERSE, "(0.2, 0.7)", MIXTURE)
LIMIT = "matrix products alone"
# Number of tokens whose values are compared with float64.
COMPARED = 256


def draw(size: Size, device: str, with_task: bool) -> tuple[States, Tensor | None]:
    """Draw hidden states, heads and, for a cross-entropy, the next tokens."""
    tokens, width, classes = size
    inputs = states(tokens, classes, width, device, DTYPES[device])
    inputs.hidden.requires_grad_()
    inputs.head.requires_grad_()
    return inputs, torch.randint(classes, (tokens,), device=device) if with_task else None


def step(loss: Loss, inputs: States, labels: Tensor | None) -> None:
    """Run one forward and backward pass, to the gradients of hidden states and head."""
    clear(inputs)
    loss(inputs, labels).backward()


def clear(inputs: States) -> None:
    """Free the gradients."""
    inputs.hidden.grad = None
    inputs.head.grad = None


@torch.no_grad()
def products(inputs: States) -> tuple[Tensor, Tensor, Tensor]:
    """Multiply what must be multiplied: the logits of both, and two gradients by what has the size of logits."""
    logits = inputs.hidden @ inputs.head.T
    return inputs.teacher_hidden @ inputs.teacher_head.T, logits @ inputs.head, logits.T @ inputs.hidden


def peak(point: str, name: str, with_task: bool, size: Size) -> int:
    """Measure by how many bytes a step raises the peak of this process above its inputs."""
    inputs, labels = draw(size, "cpu", with_task)
    # The memory of a compiler is not that of a step. Buffers that a loss keeps are, so a new one is measured.
    step(candidates(point, with_task, "cpu")[name], inputs, labels)
    clear(inputs)
    return growth(partial(step, candidates(point, with_task, "cpu")[name], inputs, labels), "cpu")


def error(loss: Loss, point: str, inputs: States, labels: Tensor | None) -> str:
    """Compare value and gradients of the first tokens with float64: the larger relative error of each."""
    exact = partial(unfused, divergence=partial(from_logits, point=point, dtype=torch.float64))
    labels = None if labels is None else labels[:COMPARED]
    found = _first(inputs, inputs.hidden.dtype)
    reference = _first(inputs, torch.float64)
    value, *gradients = (
        ((a - b).abs().max() / b.abs().max()).item()
        for a, b in zip(_results(loss, found, labels), _results(exact, reference, labels), strict=True)
    )
    return f"{value:.0e} / {max(gradients):.0e}"


def _first(inputs: States, dtype: torch.dtype) -> States:
    """Copy the first tokens in a type, with gradients to hidden states and head."""
    hidden, head, teacher_hidden, teacher_head = (x.detach() for x in inputs)
    few = hidden[:COMPARED], head, teacher_hidden[:COMPARED], teacher_head
    copies = States(*(x.to(dtype, copy=True) for x in few))
    copies.hidden.requires_grad_()
    copies.head.requires_grad_()
    return copies


def _results(loss: Loss, inputs: States, labels: Tensor | None) -> list[Tensor]:
    """Compute the value and the gradients of hidden states and head."""
    value = loss(inputs, labels)
    value.backward()
    return [value.detach(), *(x.grad for x in (inputs.hidden, inputs.head) if x.grad is not None)]


class Tables:
    """The figures with the cross-entropy or of the divergence alone: a row for every point and size."""

    def __init__(self, with_task: bool, arguments: argparse.Namespace) -> None:
        self.with_task = with_task
        self.repeats: int = arguments.repeats
        self.device: str = arguments.device
        every = [name for point in arguments.points for name in candidates(point, with_task, self.device)]
        self.names = [*dict.fromkeys(every), LIMIT]
        self.rows: dict[str, list[list[str]]] = {"time": [], "memory, MiB": [], "error, value / gradient": []}
        self.failed: dict[str, str] = {}

    def measure(self, point: str, size: Size) -> None:
        """Add a row to each table."""
        torch.compiler.reset()
        inputs, labels = draw(size, self.device, self.with_task)
        losses = candidates(point, self.with_task, self.device)
        calls: dict[str, Call] = {name: partial(step, loss, inputs, labels) for name, loss in losses.items()}
        failed = failures(calls)
        self.failed |= failed
        working = {name: call for name, call in calls.items() if name not in failed}
        found = {
            "time": self._times(working, partial(products, inputs)),
            "memory, MiB": self._peaks(working, point, size, inputs),
            "error, value / gradient": {name: error(losses[name], point, inputs, labels) for name in working},
        }
        for what, cells in found.items():
            every = dict.fromkeys(self.names, "–") | dict.fromkeys(failed, "failed") | cells
            self.rows[what].append([f"{point}, {label(size)}", *every.values()])

    def _times(self, calls: dict[str, Call], limit: Call) -> dict[str, str]:
        """Time all in turn: ours, and its ratio to each."""
        found = interleaved(calls | {LIMIT: limit}, self.repeats, self.device)
        if "fused" not in found:
            return {}
        ratios = {name: f"{ratio(found, 'fused', name):.2f}" for name in found}
        return ratios | {"fused": f"{milliseconds(found['fused']):.3g} ms"}

    def _peaks(self, calls: dict[str, Call], point: str, size: Size, inputs: States) -> dict[str, str]:
        """Measure the peak memory of each, on a CPU in a process of its own."""
        found = {}
        for name, call in calls.items():
            clear(inputs)
            if self.device == "cpu":
                bytes_ = alone(peak, point, name, self.with_task, size)
            else:
                bytes_ = growth(call, self.device)
            found[name] = f"{bytes_ / 2**20:.0f}"
        return found

    def text(self) -> str:
        """Lay out what was measured."""
        parts = ["### Cross-entropy and divergence" if self.with_task else "### The divergence alone"]
        ratios = ["fused", *(f"fused / {name}" for name in self.names[1:])]
        for what, rows in self.rows.items():
            parts.append(table([what, *(ratios if what == "time" else self.names)], rows))
        return "\n\n".join(parts + [f"{name} failed: {why}" for name, why in self.failed.items()])


def measured(with_task: bool, arguments: argparse.Namespace, sizes: list[Size]) -> str:
    """Measure all points and sizes, and lay them out."""
    tables = Tables(with_task, arguments)
    for point, size in product(arguments.points, sizes):
        measure_if_it_fits(partial(tables.measure, point, size), point, label(size), tables.failed)
    return tables.text()


def explanation(arguments: argparse.Namespace) -> str:
    """Describe what the tables hold."""
    return (
        f"Tokens × hidden size × vocabulary in {dtype_name(arguments.device)}, forward and backward, to the gradients "
        f"of hidden states and head; median of {arguments.repeats} rounds in which all take turns. Time: fused, and "
        "its ratio to the others (below 1 is faster). The last of them are the products that no loss can save, two of "
        "the logits and two of the gradient. Memory: peak beyond the inputs, gradients included. Error: the largest "
        "against float64, of the value relative to it and of the gradients relative to their largest entries, on "
        f"{COMPARED} tokens. Hidden states and heads are Gaussian, with entropies of two nats. "
        f"{machine(arguments.device, *PACKAGES)}."
    )


def main(options: list[str] | None = None) -> None:
    """Write the tables."""
    accepted = parser("language_head.py", __doc__)
    accepted.add_argument("--tokens", type=int, help="one size instead of the device's, with the two below")
    accepted.add_argument("--hidden", type=int, default=576)
    accepted.add_argument("--vocabulary", type=int, default=49152)
    accepted.add_argument("--points", nargs="+", choices=POINTS, default=[FORWARD, "(0.2, 0.7)", MIXTURE])
    arguments = parse(accepted, options)
    sizes = QUICK if arguments.quick else SIZES[arguments.device]
    if arguments.tokens:
        sizes = [(arguments.tokens, arguments.hidden, arguments.vocabulary)]
    texts = [measured(with_task, arguments, sizes) for with_task in (False, True)]
    text = "\n\n".join([explanation(arguments), *texts])
    name, title = SECTIONS[arguments.device]
    publish(name, title, arguments.command, text, write=not arguments.quick)


if __name__ == "__main__":
    main()
