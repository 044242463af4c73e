"""Which checkpoint `--ckpt_path` means."""

from pathlib import Path
from typing import NoReturn, TypedDict, cast

from jsonargparse import Namespace
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from lightning_abkd.cli._errors import fail
from lightning_abkd.cli._namespaces import entries
from lightning_abkd.training import (
    ForeignCheckpointError,
    is_sharded_checkpoint,
    without_weights,
)

# Arguments by which networks are told where their weights are.
_SOURCES = ("checkpoint", "checkpoint_path", "path", "pretrained", "weights")


class Checkpoint(TypedDict):
    """What the command reads of a checkpoint of Lightning."""

    epoch: int
    callbacks: dict[str, dict[str, str]]


def check_checkpoint(path: str | None, weights_only: bool | None = None) -> None:
    """Exit with an error unless the file can be read. Words such as best are understood by the trainer.

    Args:
        path: What `--ckpt_path` names.
        weights_only: False where the command asks for pickles, which are not looked into then.
    """
    if path in (None, "best", "last", "hpc", "registry"):
        return
    file = Path(path)
    if not is_there(file):
        found = "a folder" if file.is_dir() else "no file"
        fail(f"Option `--ckpt_path` should name a file, or be best or last. Found {found} at {path}.")
    if path.endswith(".safetensors"):
        _refuse_weights(path)
    if weights_only is not False:
        _look_into(file)


def _look_into(file: Path) -> None:
    """Exit with an error unless a file or folder of shards is a checkpoint that can be read."""
    try:
        without_weights(file)
    except ForeignCheckpointError:
        _refuse_weights(str(file))
    except ValueError as error:
        fail(str(error))


def _refuse_weights(path: str) -> NoReturn:
    fail(
        f"Option `--ckpt_path` should name a checkpoint of a training. Found weights alone in {path}; "
        "a network takes them as `--model.student load_pretrained --model.student.checkpoint FILE`."
    )


def is_there(path: Path) -> bool:
    """Return True for a file, or for the folder of a checkpoint in shards."""
    return path.is_file() or is_sharded_checkpoint(path)


def read_without_weights(path: str | Path) -> Checkpoint:
    """Read what a checkpoint holds beside its weights, whose values stay in the file."""
    return cast(Checkpoint, without_weights(Path(path)))


def best_checkpoint(trainer: Trainer) -> Path:
    """Return the best checkpoint of an earlier run into the folder of the trainer's ModelCheckpoint."""
    last = _last_checkpoint(trainer)
    if last is None or not is_there(last):
        fail(
            "Option `--ckpt_path best` needs a ModelCheckpoint with `dirpath` and `save_last: true` that has run. "
            f"Found no {last or 'dirpath'}. Name the checkpoint's file instead."
        )
    best = _recorded_best(last)
    # The folder may have been moved since.
    return last.with_name(Path(best).name) if best else last


def requeued_checkpoint(trainer: Trainer) -> Path | None:
    """Return what Lightning saved when SLURM requeued a job, if that is newer than the last checkpoint."""
    saved = max(Path(trainer.default_root_dir).glob("hpc_ckpt_*.ckpt"), key=_written, default=None)
    last = _last_checkpoint(trainer)
    is_newer = saved is not None and (last is None or not is_there(last) or _written(saved) > _written(last))
    return saved if is_newer else None


def _written(path: Path) -> int:
    return path.stat().st_mtime_ns


def untrained(config: Namespace, trainer: Trainer) -> str | None:
    """Return a warning if a student is to be measured that the config builds with random weights, or else None."""
    if _is_loaded(config.get("model.init_args.student")):
        return None
    last = _last_checkpoint(trainer)
    there = last is not None and is_there(last)
    best = f", here {best_checkpoint(trainer)}" if there else ""
    return (
        "Found no `--ckpt_path`, so the student is measured as the config builds it, untrained. "
        f"Take `--ckpt_path best`{best}, last or the path of a checkpoint."
    )


def _is_loaded(spec: object) -> bool:
    """Return True for a network that is built from a file or from the hub, or from such a network."""
    named = entries(entries(spec).get("init_args"))
    return any(named.get(name) for name in _SOURCES) or any(_is_loaded(each) for each in named.values())


def _last_checkpoint(trainer: Trainer) -> Path | None:
    """Return the last state that a ModelCheckpoint wrote or would write, None without one or without its folder."""
    callback = trainer.checkpoint_callback
    folder = callback.dirpath if isinstance(callback, ModelCheckpoint) else None
    if folder is None:
        return None
    # A second run into the same folder writes last-v1.ckpt; `--ckpt_path last` means the newest, too.
    written = Path(folder).glob("last*.ckpt")
    return max(written, key=_written, default=Path(folder, "last.ckpt"))


def _recorded_best(last: Path) -> str | None:
    """Return the path of the best checkpoint that a ModelCheckpoint recorded in the last one."""
    states = read_without_weights(last)["callbacks"].values()
    return next((state["best_model_path"] for state in states if state.get("best_model_path")), None)
