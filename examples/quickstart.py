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
from pathlib import Path

import torch
import yaml

from lightning_abkd.cli import AbkdCLI
from lightning_abkd.diagnostics import plot_curves

ROOT = Path(__file__).resolve().parent.parent
CONFIGS = ROOT / "configs" / "quickstart"
METHODS = {
    "student alone": ["--model.task_weight=1", "--model.distillation_weight=0"],
    "forward KL (1, 0)": ["--model.divergence.alpha=1", "--model.divergence.beta=0"],
    "reverse KL (0, 1)": ["--model.divergence.alpha=0", "--model.divergence.beta=1"],
    "α-β fixed (0.5, 0.5)": ["--model.divergence.alpha=0.5", "--model.divergence.beta=0.5"],
    "α-β scheduled": [],
}
METRICS = {"accuracy": "accuracy", "agreement": "agreement", "calibration_error": "calibration error"}
QUIET = ["--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false"]


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5, help="number of seeds of each method")
    parser.add_argument("--epochs", type=int, default=30, help="epochs of each student")
    parser.add_argument(
        "--output", type=Path, default=Path("runs/quickstart"), help="folder of results and checkpoints"
    )
    return parser.parse_args()


def quiet() -> None:
    """Silence what Lightning says of itself in every one of the runs."""
    warnings.filterwarnings("ignore")
    os.environ["JSONARGPARSE_DEPRECATION_WARNINGS"] = "off"
    for name in ("lightning.pytorch", "lightning.fabric", "lightning"):
        logging.getLogger(name).setLevel(logging.ERROR)


def callbacks(config: Path, output: Path, keep: str) -> str:
    """Give the callbacks of a config, writing below the output, as an option; `keep` is part of their class's name."""
    chosen = [c for c in yaml.safe_load(config.read_text())["trainer"]["callbacks"] if keep in c["class_path"]]
    for callback in chosen:
        if folder := callback["init_args"].get("dirpath"):
            callback["init_args"]["dirpath"] = str(output / Path(folder).name)
    return f"--trainer.callbacks={json.dumps(chosen)}" if chosen else "--trainer.callbacks=null"


def train_teacher(output: Path, options: list[str]) -> Path:
    """Train the teacher unless an earlier start did."""
    checkpoint = output / "teacher" / "best.ckpt"
    done = output / "teacher" / "done"
    if not done.exists():
        config = CONFIGS / "teacher.yaml"
        AbkdCLI(["fit", f"--config={config}", *QUIET, *options, callbacks(config, output, "ModelCheckpoint")])
        done.touch()
    return checkpoint


def train_student(method: str, seed: int, output: Path, options: list[str], name: str) -> dict[str, float]:
    """Train and test one student; Lightning's log of it goes below `name`."""
    config = CONFIGS / "student.yaml"
    scheduler = callbacks(config, output, "Scheduler" if method == "α-β scheduled" else "nothing")
    logger = {"class_path": "lightning.pytorch.loggers.CSVLogger"}
    logger["init_args"] = {"save_dir": str(output), "name": name, "version": f"seed_{seed}"}
    start = time.perf_counter()
    command = ["fit", f"--config={config}", f"--seed_everything={seed}", *QUIET, *METHODS[method], *options, scheduler]
    cli = AbkdCLI([*command, f"--trainer.logger={json.dumps(logger)}", "--trainer.enable_checkpointing=false"])
    seconds = time.perf_counter() - start
    (result,) = cli.trainer.test(cli.model, cli.datamodule, verbose=False)
    size = sum(parameter.numel() for parameter in cli.model.student.parameters())
    return {metric: result[f"test/{metric}"] for metric in METRICS} | {"parameters": size, "seconds": seconds}


def load(path: Path, settings: dict[str, object]) -> dict[str, dict[str, float]]:
    """Read the results of an earlier start with the same settings."""
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_text())
        return content["results"] if content["settings"] == settings else {}
    except (json.JSONDecodeError, KeyError, TypeError):
        sys.exit(f"{path} cannot be read as results. Delete it to start afresh.")


def table(results: dict[str, dict[str, float]], seeds: range) -> str:
    """Lay out mean ± standard deviation over the seeds."""
    rows = [["", *METRICS.values(), "parameters", "seconds"]]
    for method in METHODS:
        runs = [results[f"{method}/{seed}"] for seed in seeds]
        cells = [method]
        for metric in METRICS:
            values = [run[metric] for run in runs]
            spread = statistics.stdev(values) if len(values) > 1 else 0.0
            cells.append(f"{statistics.fmean(values):.4f} ± {spread:.4f}")
        rows.append([*cells, f"{runs[0]['parameters']:,}", f"{statistics.fmean(r['seconds'] for r in runs):.1f}"])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])


def main() -> None:
    """Run what is missing, then print and draw the comparison."""
    options = arguments()
    quiet()
    sys.argv = sys.argv[:1]
    output = options.output.resolve()
    output.mkdir(parents=True, exist_ok=True)
    seeds = range(options.seeds)
    configs = "".join((CONFIGS / f"{name}.yaml").read_text() for name in ("teacher", "student"))
    settings = {"epochs": options.epochs, "configs": configs, "torch": torch.__version__}
    path = output / "results.json"
    results = load(path, settings)
    if not results:
        shutil.rmtree(output / "teacher", ignore_errors=True)
    print("Teacher …", flush=True)
    short = ["--trainer.max_epochs", str(min(options.epochs, 20))]
    teacher = train_teacher(
        output, [*short, "--trainer.logger=false", f"--trainer.default_root_dir={output / 'teacher'}"]
    )
    common = [f"--model.teacher.checkpoint={teacher}", "--trainer.max_epochs", str(options.epochs)]
    for method in METHODS:
        for seed in seeds:
            if f"{method}/{seed}" not in results:
                print(f"{method}, seed {seed} …", flush=True)
                name = f"logs/{method}"
                results[f"{method}/{seed}"] = train_student(method, seed, output, common, name)
                path.write_text(json.dumps({"settings": settings, "results": results}, indent=1, ensure_ascii=False))
    text = table(results, seeds)
    (output / "results.md").write_text(text + "\n")
    curves = {method: [output / "logs" / method / f"seed_{s}" / "metrics.csv" for s in seeds] for method in METHODS}
    picture = plot_curves(curves, output / "curves.png")
    print(f"\nTest set, mean ± standard deviation over {len(seeds)} seeds:\n\n{text}\n")
    places = {"teacher": teacher, "table": output / "results.md", "picture": picture, "logs": output / "logs"}
    print("\n".join(f"{name:<9}{place}" for name, place in places.items()))
    print("\nNext:\n  .venv/bin/abkd fit --config configs/quickstart/student.yaml --model.divergence.temperature 3")
    print("  .venv/bin/abkd test --config configs/quickstart/student.yaml --ckpt_path best")
    print("  .venv/bin/abkd fit --config configs/quickstart/student.yaml --print_config > my.yaml")


if __name__ == "__main__":
    main()
