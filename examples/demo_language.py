"""Distil SmolLM2-135M-Instruct into a third of its layers on real instructions, and compare objectives.

The teacher (Apache-2.0) comes inside a package of the Python index. Its outputs on the training data are stored once,
and every student learns from them with the same steps and seed: 10 of the teacher's 30 layers, AdamW with warm-up and
cosine. The test sets are 64 held-out problems of GSM8K and 64 user-oriented instructions of Self-Instruct.

    python examples/demo_language.py                about half an hour on two cores; run it again to resume
    python examples/demo_language.py --steps 20     a quick look
    python examples/demo_language.py --model DIR    another teacher, from a folder that transformers loads
"""

import argparse
import json
import logging
import os
import shutil
import subprocess
import sys
import time
import warnings
from pathlib import Path

from lightning.pytorch import seed_everything

from _distil import BEFORE, METHODS, evaluate, store_teacher, train
from _smollm2 import fetch_teacher, first_student
from _table import aligned
from lightning_abkd.diagnostics import plot_curves

COLUMNS = {
    "gsm8k/divergence": "KL, GSM8K",
    "gsm8k/perplexity": "perplexity, GSM8K",
    "gsm8k/agreement": "agreement, GSM8K",
    "gsm8k/rouge_l": "ROUGE-L, GSM8K",
    "self_instruct/divergence": "KL, Self-Instruct",
    "self_instruct/perplexity": "perplexity, Self-Instruct",
    "self_instruct/agreement": "agreement, Self-Instruct",
    "self_instruct/rouge_l": "ROUGE-L, Self-Instruct",
    "tokens_per_second": "tokens/s",
    "peak_gib": "peak GiB",
}
PANELS = {
    "train/alpha": "α (of the schedule)",
    "train/beta": "β (of the schedule)",
    "train/loss": "training loss of each objective",
    "val/perplexity": "perplexity on 32 validation problems",
}


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=100, help="optimizer steps of each student")
    parser.add_argument("--samples", type=int, default=64, help="samples of each test set")
    parser.add_argument("--new-tokens", type=int, default=96, help="longest response in the evaluation")
    parser.add_argument("--layers", type=int, default=10, help="layers of the student")
    parser.add_argument("--model", type=Path, help="folder of another teacher")
    parser.add_argument("--precision", default="bf16-mixed", help="precision of the training")
    parser.add_argument("--output", type=Path, default=Path("runs/demo-language"), help="folder of everything written")
    parser.add_argument(
        "--method", choices=["teacher", *METHODS], help="run one method in this process (used internally)"
    )
    return parser.parse_args()


def quiet() -> None:
    """Silence what the libraries log about themselves in every one of the runs."""
    warnings.filterwarnings("ignore")
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    for name in ("lightning.pytorch", "lightning.fabric", "lightning", "transformers", "pip"):
        logging.getLogger(name).setLevel(logging.ERROR)


def run(method: str, model: Path, options: argparse.Namespace) -> None:
    """Run one method from the same start as the others and write what was measured."""
    seed_everything(0, verbose=False)
    student = first_student(model, options.layers)
    start = time.perf_counter()
    measured = {} if method == BEFORE else train(method, model, student, options)
    measured["minutes"] = (time.perf_counter() - start) / 60.0
    measured |= evaluate(method, model, student, options)
    result = result_file(options.output, method)
    result.parent.mkdir(exist_ok=True)
    result.write_text(json.dumps(measured, indent=1))


def result_file(output: Path, method: str) -> Path:
    """Return the file of a method's results."""
    return output / "results" / f"{method}.json"


def start_afresh_with_other_settings(options: argparse.Namespace) -> None:
    """Delete the results of an earlier start with other settings."""
    kept = ("steps", "samples", "new_tokens", "layers", "precision", "model")
    settings = json.dumps({name: str(getattr(options, name)) for name in kept})
    path = options.output / "settings.json"
    if not path.exists() or path.read_text() != settings:
        for name in ("results", "logs", "responses"):
            shutil.rmtree(options.output / name, ignore_errors=True)
        path.write_text(settings)


def run_missing(output: Path) -> None:
    """Run each method that has no results in a process of its own, the teacher's outputs first."""
    for method in ["teacher", *METHODS]:
        if result_file(output, method).exists():
            continue
        print("Storing the teacher's outputs …" if method == "teacher" else f"{method} …", flush=True)
        command = [sys.executable, __file__, *sys.argv[1:], "--method", method]
        if code := subprocess.run(command, check=False).returncode:
            sys.exit(code)


def report(output: Path) -> None:
    """Print and draw the comparison."""
    results = {method: json.loads(result_file(output, method).read_text()) for method in METHODS}
    rows = [[method, *(cell(measured, name) for name in COLUMNS)] for method, measured in results.items()]
    text = aligned([["", *COLUMNS.values()], *rows])
    (output / "results.md").write_text(text + "\n")
    curves = {method: [output / "logs" / method / "metrics.csv"] for method in METHODS if method != BEFORE}
    picture = plot_curves(curves, output / "curves.png", PANELS, "SmolLM2-135M on GSM8K, T = 1, batch 8")
    print(f"\n{text}\n\ntable     {output / 'results.md'}\npicture   {picture}")
    print(f"responses {output / 'responses'}")


def cell(measured: dict[str, float], name: str) -> str:
    """Write what was measured, nothing where it was not."""
    return f"{measured[name]:.3g}" if name in measured else ""


def main() -> None:
    """Run what is missing, then print and draw the comparison; with `--method`, run that method alone."""
    options = arguments()
    quiet()
    options.output = options.output.resolve()
    options.output.mkdir(parents=True, exist_ok=True)
    model = (options.model or fetch_teacher(options.output)).resolve()
    if options.method == "teacher":
        store_teacher(model, options.output)
    elif options.method:
        run(options.method, model, options)
    else:
        start_afresh_with_other_settings(options)
        run_missing(options.output)
        report(options.output)


if __name__ == "__main__":
    main()
