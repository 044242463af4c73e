"""One training of a sweep."""

from pkgutil import resolve_name
from typing import Any

from jsonargparse import Namespace
from lightning.pytorch import Callback, LightningModule

from lightning_abkd.callbacks import AlphaBetaScheduler, HyperparameterScheduler
from lightning_abkd.cli._app import AbkdCLI
from lightning_abkd.cli._errors import readable_errors
from lightning_abkd.cli._first_checks import check_first
from lightning_abkd.cli._sweep_command import plain

_SAVES_THE_STUDENT = ("ModelCheckpoint", "SavePretrained")


class SweepTraining(AbkdCLI):
    """A training that keeps nothing but its log, and survives a loss that becomes NaN.

    What the command line sets, no schedule of the config moves: the schedule is left out.

    Args:
        options: Options of `abkd fit`.

    Attributes:
        diverged: True after a training whose loss became NaN.
        left_out: A sentence for every schedule that was left out.
    """

    diverged = False

    def __init__(self, options: list[str]) -> None:
        self.left_out: list[str] = []
        self._given = {
            plain(option.partition("=")[0]).removeprefix("model.")
            for option in options
            if option.startswith("--model.")
        }
        super().__init__(["fit", *options])

    def before_instantiate_classes(self) -> None:
        """Remove the callbacks that save the student, and the schedules of what the command line sets."""
        trainer = self.config["fit"].trainer
        given = trainer.callbacks if isinstance(trainer.callbacks, list) else [trainer.callbacks]
        kept = [callback for callback in given if callback and _class_name(callback) not in _SAVES_THE_STUDENT]
        trainer.callbacks = [callback for callback in kept if self._has_work(callback)] or None

    def displays(self, trainer: dict[str, object]) -> list[Callback]:
        """Show nothing: the sweep has a bar of its own."""
        return []

    def fit(self, model: LightningModule, **options: Any) -> None:
        """Train until the end or the first NaN."""
        try:
            self.trainer.fit(model, **options)
        except FloatingPointError:
            self.diverged = True

    def _has_work(self, callback: Namespace) -> bool:
        """Take from a scheduler what the command line sets; return False if nothing is left."""
        schedules = _schedules(callback)
        moved = {name: path for name, path in schedules.items() if self._is_given(path)}
        for name, path in moved.items():
            self.left_out.append(
                f"The sweep sets model.{path}, so the schedule of {_class_name(callback)} that moves it is left out."
            )
            _remove(callback, name)
        return not schedules or len(moved) < len(schedules)

    def _is_given(self, path: str) -> bool:
        """Return True if the command line sets a number, or the object that it belongs to."""
        return any(path == given or path.startswith(f"{given}.") for given in self._given)


class SweepCheck(SweepTraining):
    """The options of a training, checked without building anything."""

    def instantiate_classes(self) -> None:
        """Build nothing, but look for the files that the options name."""
        with readable_errors():
            check_first(self.config["fit"], "fit")

    def _run_subcommand(self, subcommand: str) -> None:
        """Run nothing."""


def check_point(options: list[str]) -> list[str]:
    """Check options of `abkd fit`; exit with an error if one is wrong.

    Returns:
        A sentence for every schedule that the sweep leaves out.
    """
    return SweepCheck(options).left_out


def train_point(options: list[str]) -> dict[str, float] | None:
    """Train with options of `abkd fit`.

    Returns:
        The last value of everything that was logged; None if the loss became NaN.
    """
    training = SweepTraining(options)
    if training.diverged:
        return None
    return {name: value.item() for name, value in training.trainer.callback_metrics.items()}


def _schedules(callback: Namespace) -> dict[str, str]:
    """Return the path of every number that a callback moves, by the name of its schedule; of others none."""
    kind = resolve_name(callback.class_path)
    arguments = callback.get("init_args") or Namespace()
    if not isinstance(kind, type) or not issubclass(kind, HyperparameterScheduler):
        return {}
    if issubclass(kind, AlphaBetaScheduler):
        numbers = [name for name in ("alpha", "beta") if arguments.get(name) is not None]
        return {name: f"{arguments.get('attribute', 'divergence')}.{name}" for name in numbers}
    return {path: path for path in arguments.get("schedules") or {}}


def _remove(callback: Namespace, name: str) -> None:
    """Remove one schedule of a scheduler."""
    if name in ("alpha", "beta") and name in callback.init_args:
        callback.init_args[name] = None
    else:
        callback.init_args.schedules = {
            path: schedule for path, schedule in callback.init_args.schedules.items() if path != name
        }


def _class_name(callback: Namespace) -> str:
    class_path: str = callback.class_path
    return class_path.rpartition(".")[2]
