"""The option `--detect` of a command: which module is the first whose numbers are NaN or infinite."""

from lightning.pytorch import Callback

from lightning_abkd.callbacks import NonFiniteGuard

HELP = "Watch every module of both networks, and name the first whose output or gradient is NaN or inf. This is slow."


def detecting(trainer: dict[str, object], callbacks: list[Callback]) -> list[Callback]:
    """Return the callbacks of a run that watches modules: with its own guard if it has one, else with a new one.

    Args:
        trainer: Arguments of the trainer, which may hold callbacks.
        callbacks: Other callbacks of the run.
    """
    given = trainer.get("callbacks") or []
    own = [*(given if isinstance(given, list) else [given]), *callbacks]
    guards = [callback for callback in own if isinstance(callback, NonFiniteGuard)]
    for guard in guards:
        guard.detect = True
    return callbacks if guards else [*callbacks, NonFiniteGuard(detect=True)]
