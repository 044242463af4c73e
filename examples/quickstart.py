"""Train a teacher on handwritten digits, distil it into a far smaller student, and compare objectives.

Every run is a config of configs/quickstart/ with a few options changed, as on the command line. The student sees 500
images with 30 % wrong labels. Temperature 2, (α, β) = (0.5, 0.5) and the end of the schedule were chosen among
temperatures 1, 2, 4 and three points (α, β) on the validation set with seeds 100 and 101; the table is measured on the
test set with other seeds.

    python examples/quickstart.py                 everything, under three minutes; run it again to resume
    python examples/quickstart.py --seeds 2 --epochs 5
"""

import argparse
import json
import logging
import os
import shutil
import statistics
import sys
import time
import warnings
from itertools import product
from pathlib import Path
from typing import Any

import torch
import yaml

from _summary import draw_summary
from _table import aligned
from lightning_abkd.cli import AbkdCLI
from lightning_abkd.diagnostics import plot_curves

ROOT = Path(__file__).resolve().parent.parent
CONFIGS = ROOT / "configs" / "quickstart"
TEACHER = CONFIGS / "teacher.yaml"
STUDENT = CONFIGS / "student.yaml"
SCHEDULED = "α-β scheduled"
METHODS = {
    "student alone": ["--model.task_weight=1", "--model.distillation_weight=0"],
    "forward KL (1, 0)": ["--model.divergence.alpha=1", "--model.divergence.beta=0"],
    "reverse KL (0, 1)": ["--model.divergence.alpha=0", "--model.divergence.beta=1"],
    "α-β fixed (0.5, 0.5)": ["--model.divergence.alpha=0.5", "--model.divergence.beta=0.5"],
    SCHEDULED: [],
}
METRICS = {"accuracy": "accuracy", "agreement": "agreement", "calibration_error": "calibration error"}
QUIET = ["--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false"]
TITLE = "digits, 500 training images with 30 % wrong labels, T = 2, batch 64"
NEXT = """
Next:
  .venv/bin/abkd fit --config configs/quickstart/student.yaml --model.divergence.temperature 3
  .venv/bin/abkd test --config configs/quickstart/student.yaml --ckpt_path best
  .venv/bin/abkd fit --config configs/quickstart/student.yaml --print_config > my.yaml"""

# What was measured in each run, by "method/seed".
Results = dict[str, dict[str, float]]


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5, help="number of seeds of each method")
    parser.add_argument("--epochs", type=int, default=30, help="epochs of each student")
    parser.add_argument(
        "--output", type=Path, default=Path("runs/quickstart"), help="folder of results and checkpoints"
    )
    return parser.parse_args()


def quiet() -> None:
    """Silence what Lightning logs about itself in every one of the runs."""
    warnings.filterwarnings("ignore")
    os.environ["JSONARGPARSE_DEPRECATION_WARNINGS"] = "off"
    for name in ("lightning.pytorch", "lightning.fabric", "lightning"):
        logging.getLogger(name).setLevel(logging.ERROR)


def callbacks(config: Path, output: Path, keep: str) -> str:
    """Return the callbacks of a config whose class name contains `keep` as an option; they write below the output."""
    every: list[dict[str, Any]] = yaml.safe_load(config.read_text())["trainer"]["callbacks"]
    kept = [callback for callback in every if keep in callback["class_path"]]
    for callback in kept:
        if folder := callback["init_args"].get("dirpath"):
            callback["init_args"]["dirpath"] = str(output / Path(folder).name)
    return f"--trainer.callbacks={json.dumps(kept) if kept else 'null'}"


def train_teacher(output: Path, epochs: int) -> Path:
    """Train the teacher unless an earlier start did, and return its checkpoint."""
    folder = output / "teacher"
    done = folder / "done"
    if not done.exists():
        options = [f"--trainer.max_epochs={min(epochs, 20)}", "--trainer.logger=false"]
        options += [f"--trainer.default_root_dir={folder}", callbacks(TEACHER, output, "ModelCheckpoint")]
        AbkdCLI(["fit", f"--config={TEACHER}", *QUIET, *options])
        done.touch()
    return folder / "best.ckpt"


def train_student(method: str, seed: int, output: Path, options: list[str]) -> dict[str, float]:
    """Train and test one student."""
    scheduler = callbacks(STUDENT, output, "Scheduler" if method == SCHEDULED else "nothing")
    logger = {
        "class_path": "lightning.pytorch.loggers.CSVLogger",
        "init_args": {"save_dir": str(output), "name": f"logs/{method}", "version": f"seed_{seed}"},
    }
    options = [f"--seed_everything={seed}", *QUIET, *METHODS[method], *options, scheduler]
    options += [f"--trainer.logger={json.dumps(logger)}", "--trainer.enable_checkpointing=false"]
    start = time.perf_counter()
    cli = AbkdCLI(["fit", f"--config={STUDENT}", *options])
    seconds = time.perf_counter() - start
    (result,) = cli.trainer.test(cli.model, cli.datamodule, verbose=False)
    size = sum(parameter.numel() for parameter in cli.model.student.parameters())
    return {metric: result[f"test/{metric}"] for metric in METRICS} | {"parameters": size, "seconds": seconds}


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


def compare(output: Path, seeds: range, epochs: int) -> Results:
    """Run what is missing, and return what was measured."""
    configs = TEACHER.read_text() + STUDENT.read_text()
    settings = {"epochs": epochs, "configs": configs, "torch": torch.__version__}
    path = output / "results.json"
    results = load(path, settings)
    if not results:
        shutil.rmtree(output / "teacher", ignore_errors=True)
    print("Teacher …", flush=True)
    teacher = train_teacher(output, epochs)
    options = [f"--model.teacher.checkpoint={teacher}", f"--trainer.max_epochs={epochs}"]
    for method, seed in product(METHODS, seeds):
        if f"{method}/{seed}" not in results:
            print(f"{method}, seed {seed} …", flush=True)
            results[f"{method}/{seed}"] = train_student(method, seed, output, options)
            path.write_text(json.dumps({"settings": settings, "results": results}, indent=1, ensure_ascii=False))
    return results


def table(results: Results, seeds: range) -> str:
    """Lay out mean ± standard deviation over the seeds."""
    rows = [["", *METRICS.values(), "parameters", "seconds"]]
    for method in METHODS:
        runs = [results[f"{method}/{seed}"] for seed in seeds]
        cells = [spread([run[metric] for run in runs]) for metric in METRICS]
        seconds = statistics.fmean(run["seconds"] for run in runs)
        rows.append([method, *cells, f"{runs[0]['parameters']:,}", f"{seconds:.1f}"])
    return aligned(rows)


def spread(values: list[float]) -> str:
    """Write mean ± standard deviation."""
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.fmean(values):.4f} ± {deviation:.4f}"


def draw(output: Path, results: Results, seeds: range) -> dict[str, Path]:
    """Draw the curves of all metrics, and a summary in one line."""
    logs = {method: [output / "logs" / method / f"seed_{seed}" / "metrics.csv" for seed in seeds] for method in METHODS}
    tested = {method: [results[f"{method}/{seed}"]["accuracy"] for seed in seeds] for method in METHODS}
    return {
        "curves": plot_curves(logs, output / "curves.png", title=TITLE),
        "summary": draw_summary(logs, tested, output / "summary.png", TITLE),
    }


def main() -> None:
    """Run what is missing, then print and draw the comparison."""
    options = arguments()
    quiet()
    # AbkdCLI gets its options as a list and warns about those of this script.
    sys.argv = sys.argv[:1]
    output = options.output.resolve()
    output.mkdir(parents=True, exist_ok=True)
    seeds = range(options.seeds)
    results = compare(output, seeds, options.epochs)
    text = table(results, seeds)
    (output / "results.md").write_text(text + "\n")
    pictures = draw(output, results, seeds)
    print(f"\nTest set, mean ± standard deviation over {len(seeds)} seeds:\n\n{text}\n")
    places = {"teacher": output / "teacher" / "best.ckpt", "table": output / "results.md", **pictures}
    places["logs"] = output / "logs"
    print("\n".join(f"{name:<9}{place}" for name, place in places.items()))
    print(NEXT)


if __name__ == "__main__":
    main()
