"""Time and memory of the loss from hidden states against the loss from logits: python benchmarks/language_head.py."""

import argparse
import statistics
import sys
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]

from _report import interleaved, machine, peak_bytes, publish, ratio, resident, table

from lightning_abkd.losses import AlphaBetaDivergence, OutputHead, against_head, head_loss

POINTS = [(1.0, 0.0), (0.0, 1.0), (0.2, 0.7)]
NAMES = ["fused", "unfused", "unfused, F.kl_div"]


def inputs(tokens: int, hidden: int, vocabulary: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Draw hidden states and heads of student and teacher whose distributions have entropies as in language."""
    torch.manual_seed(0)
    states, heads = torch.randn(2, tokens, hidden), torch.randn(2, vocabulary, hidden).mul_(3.0 / hidden**0.5)
    labels = torch.randint(0, vocabulary, (tokens,))
    return states[0].requires_grad_(), heads[0].requires_grad_(), states[1], heads[1], labels


def step(name: str, divergence: AlphaBetaDivergence, data: tuple[Tensor, Tensor, Tensor, Tensor, Tensor]) -> None:
    """Run cross-entropy and divergence forward and backward, to the gradients of hidden states and head."""
    hidden, weight, teacher_hidden, teacher_weight, labels = data
    hidden.grad = weight.grad = None
    if name == "fused":
        compare = against_head(teacher_hidden, OutputHead(teacher_weight))
        head_loss(hidden, OutputHead(weight), labels, compare, divergence).loss.backward()
        return
    student, teacher = hidden @ weight.T, teacher_hidden @ teacher_weight.T
    task = F.cross_entropy(student, labels)
    if name == "unfused":
        (task + divergence(student, teacher)).backward()
        return
    log_q, log_p = F.log_softmax(student, -1), F.log_softmax(teacher, -1)
    (task + F.kl_div(log_q, log_p, reduction="batchmean", log_target=True)).backward()


def measure_memory(name: str, data: tuple[Tensor, Tensor, Tensor, Tensor, Tensor]) -> None:
    """Print by how many bytes one step raises the peak of this process above its inputs."""
    divergence = AlphaBetaDivergence(0.2, 0.7)
    step(name, divergence, inputs(2, 8, 16))
    before = resident(afresh=True)
    step(name, divergence, data)
    print(resident() - before)


def largest_error(divergence: AlphaBetaDivergence, data: tuple[Tensor, Tensor, Tensor, Tensor, Tensor]) -> float:
    """Give the largest difference of the fused gradients from the unfused, relative to the largest entry."""
    gradients = []
    for name in ("fused", "unfused"):
        step(name, divergence, data)
        gradients.append([leaf.grad for leaf in data[:2]])
    return max(float((a - b).abs().max() / b.abs().max()) for a, b in zip(*gradients, strict=True))


def main() -> None:
    """Write the table of ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=2048)
    parser.add_argument("--hidden", type=int, default=576)
    parser.add_argument("--vocabulary", type=int, default=49152)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--memory", metavar="NAME", help="measure the memory of one candidate in this process")
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    data = inputs(arguments.tokens, arguments.hidden, arguments.vocabulary)
    if arguments.memory:
        measure_memory(arguments.memory, data)
        return
    shape = [f"--{name}={getattr(arguments, name)}" for name in ("tokens", "hidden", "vocabulary")]
    peaks = {name: peak_bytes(__file__, "--memory", name, *shape) for name in NAMES}
    rows = []
    for point in POINTS:
        divergence = AlphaBetaDivergence(*point)
        times = interleaved({n: lambda n=n, d=divergence: step(n, d, data) for n in NAMES}, arguments.repeats)
        ratios = [f"{ratio(times, 'fused', other):.2f}" for other in NAMES[1:]]
        seconds = f"{statistics.median(times['fused']):.2f} s"
        rows.append([str(point), seconds, *ratios, f"{largest_error(divergence, data):.1e}"])
    memory = [f"{peaks[name] / 2**20:.0f} MiB" for name in NAMES] + [f"{peaks['fused'] / peaks['unfused']:.2f}"]
    text = (
        f"{arguments.tokens} tokens, hidden size {arguments.hidden}, {arguments.vocabulary} ids, float32: "
        f"cross-entropy and "
        f"divergence, forward and backward, to the gradients of hidden states and head; median of "
        f"{arguments.repeats} rounds in which the candidates take turns. {machine()}.\n\n"
        + table(
            ["(α, β)", "fused", "time fused / unfused", "time fused / unfused F.kl_div (1, 0)", "gradient difference"],
            rows,
        )
        + "\n\nPeak memory beyond the inputs, gradients included, at (0.2, 0.7):\n\n"
        + table([*NAMES, "fused / unfused"], [memory])
    )
    publish("language_head", "The output head of a language model", "python benchmarks/language_head.py", text)


if __name__ == "__main__":
    main()
