"""The command `abkd`: LightningCLI over distillation modules."""

import difflib
import importlib
import inspect
import logging
import os
import re
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI

import lightning_abkd.callbacks
import lightning_abkd.data
import lightning_abkd.losses
import lightning_abkd.models
import lightning_abkd.modules  # noqa: F401  (imported, so that short class names are found)
from lightning_abkd.diagnostics import sweep

# Lines of jsonargparse that repeat what was tried, not what is wrong.
_NOISE = re.compile(
    r"Does not validate|Subtypes:|Errors:|Expected a <class 'NoneType'>$|Given value|Not a valid subclass|"
    r"Subclass types expect|a class path|a dict with|Parser key|Problem with given class_path|NestedArg|Namespace\("
)


def _fail(message: str) -> NoReturn:
    sys.stderr.write(f"abkd: {message}\n")
    raise SystemExit(2)


def _advice(class_path: str, cause: str) -> str:
    """List what a class accepts after an option that it does not."""
    unknown = re.search(r"Option '([\w.]+)' is not accepted", cause)
    module, _, name = class_path.rpartition(".")
    if not unknown or not module:
        return ""
    accepted = list(inspect.signature(getattr(importlib.import_module(module), name)).parameters)
    close = difflib.get_close_matches(unknown[1], accepted, 1)
    return f". Did you mean {close[0]!r}?" if close else f". It accepts {', '.join(accepted)}."


def _sentence(message: str) -> str:
    """Say in one sentence which key of which class is wrong and why: the innermost cause of a nested report."""
    keys = list(dict.fromkeys(re.findall(r'Parser key "([^"]+)"', message)))
    classes = re.findall(r"Problem with given class_path '([^']+)'", message)
    innermost = re.split(r"Problem with given class_path '[^']+':", message)[-1]
    lines = [line.strip(" -") for line in innermost.splitlines()]
    # A cause may stand on the line of its key.
    lines = [re.sub(r'^Parser key "[^"]+":\s*', "", line) for line in lines]
    causes = [line for line in lines if line and not _NOISE.search(line)]
    cause = causes[0] if causes else " ".join(message.split())
    place = ".".join(keys) + (f" ({classes[-1]})" if classes else "")
    if found := re.search(r"Expected a path but (\S+) either not accessible", cause):
        cause = f"Found no class {found[1]!r}; give its path, such as package.module.Class."
    return (f"{place}: " if place else "") + cause + (_advice(classes[-1], cause) if classes else "")


@contextmanager
def _readable() -> Iterator[None]:
    """Turn the errors that this package raises on purpose into their one sentence."""
    try:
        yield
    except (ValueError, TypeError, OSError, ImportError, AttributeError, FloatingPointError) as error:
        root: BaseException = error
        while root.__cause__ is not None:
            root = root.__cause__
        frames = traceback.extract_tb(root.__traceback__)
        ours = frames and Path(frames[-1].filename).is_relative_to(Path(__file__).parent)
        if not ours or os.environ.get("ABKD_TRACEBACK"):
            raise
        _fail(f"{root} (ABKD_TRACEBACK=1 shows where this comes from.)")


class _Parser(LightningArgumentParser):
    """Says what is wrong in one sentence, without the usage of every option before it."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        if not self.exit_on_error:
            super().error(message, ex)
        _fail(_sentence(str(message)))


class AbkdCLI(LightningCLI):
    """LightningCLI that takes any module and data module by class path and saves the config beside the logs.

    Args:
        args: Command line as a list; None takes the one of the process.

    Attributes trainer, model and datamodule are there after the run.
    """

    def __init__(self, args: ArgsType = None) -> None:
        super().__init__(
            LightningModule,
            subclass_mode_model=True,
            subclass_mode_data=True,
            save_config_kwargs={"overwrite": True},
            parser_class=_Parser,
            parser_kwargs={
                "description": "Distil a frozen teacher into a student. `abkd sweep --help`: over α, β and seeds."
            },
            args=args,
        )

    def _parse_ckpt_path(self) -> None:
        """Check the checkpoint before anything is built; the networks are those of the configuration."""
        path = self.config.get(f"{self.config['subcommand']}.ckpt_path")
        if path in (None, "best", "last", "hpc", "registry"):
            return
        if not Path(path).is_file():
            _fail(f"Option `--ckpt_path` should name a file, or be best or last. Found no file at {path}.")
        try:
            torch.load(path, weights_only=True, map_location="meta", mmap=True)
        except Exception as error:
            _fail(f"The checkpoint {path} cannot be read ({type(error).__name__}). Choose another one or train again.")

    def instantiate_classes(self) -> None:
        """Build trainer, module and data; what they refuse is said in one sentence."""
        with _readable():
            super().instantiate_classes()

    def _run_subcommand(self, subcommand: str) -> None:
        with _readable():
            super()._run_subcommand(subcommand)

    def _best(self) -> None:
        """Find the best checkpoint of an earlier run, which Lightning knows only within the run itself."""
        config = self.config_init[self.config["subcommand"]]
        if config.get("ckpt_path") != "best":
            return
        callback = self.trainer.checkpoint_callback
        folder = callback.dirpath if isinstance(callback, ModelCheckpoint) else None
        last = None if folder is None else Path(folder, "last.ckpt")
        if last is None or not last.is_file():
            _fail(
                "Option `--ckpt_path best` needs a ModelCheckpoint with `dirpath` and `save_last: true` that has run. "
                f"Found no {last or 'dirpath'}. Name the checkpoint's file instead."
            )
        states = torch.load(last, weights_only=True, map_location="meta", mmap=True)["callbacks"].values()
        paths = [state["best_model_path"] for state in states if state.get("best_model_path")]
        # The folder may have been moved since.
        config["ckpt_path"] = str(last.with_name(Path(paths[0]).name) if paths else last)

    before_validate = before_test = before_predict = _best


class _Point(AbkdCLI):
    """One training of a sweep: it keeps nothing but its log, and survives a loss that becomes NaN."""

    diverged = False

    def before_instantiate_classes(self) -> None:
        """Leave out what saves the student; refuse what would move α and β."""
        trainer = self.config["fit"].trainer
        callbacks = trainer.callbacks if isinstance(trainer.callbacks, list) else [trainer.callbacks]
        named = {id(callback): callback.class_path.rpartition(".")[2] for callback in callbacks if callback}
        if "AlphaBetaScheduler" in named.values():
            _fail(
                "A sweep sets α and β. Found an AlphaBetaScheduler, which moves them; "
                "leave it out of the config, or all callbacks with `--trainer.callbacks null`."
            )
        saving = ("ModelCheckpoint", "SavePretrained")
        trainer.callbacks = [x for x in callbacks if x and named[id(x)] not in saving] or None

    def fit(self, model: LightningModule, **options: Any) -> None:
        """Train until the end or the first NaN."""
        try:
            self.trainer.fit(model, **options)
        except FloatingPointError:
            self.diverged = True


def _train_point(options: list[str]) -> dict[str, float] | None:
    """Train with options of `fit` and give what was measured last; None if the loss became NaN."""
    cli = _Point(["fit", *options])
    return None if cli.diverged else {name: x.item() for name, x in cli.trainer.callback_metrics.items()}


def main() -> None:
    """Run `abkd fit|validate|test|predict --config FILE …`, or `abkd sweep …`."""
    # A user's own modules lie beside the configs they are named in.
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    # What the floors that do not know Lightning have to say, as Lightning says its own.
    logging.getLogger("lightning_abkd").setLevel(logging.INFO)
    logging.getLogger("lightning_abkd").addHandler(logging.StreamHandler())
    if sys.argv[1:2] != ["sweep"]:
        AbkdCLI()
        return
    arguments, sys.argv = sys.argv[2:], sys.argv[:1]
    with _readable():
        sweep(arguments, _train_point)
