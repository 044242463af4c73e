"""What is said when another process is gone: a worker of a data loader, or a rank of the run."""

import re

_KILLED = re.compile(r"DataLoader worker \(pid(?:\(s\))? (?P<worker>[\d, ]+)\) (?:is killed|exited)")
# What gloo, NCCL and torch's store say of a peer that is gone or does not answer.
_GONE = re.compile(
    r"Connection (?:reset|closed) by peer|Broken pipe|Timed out waiting \d+ms|[Cc]ollective operation timeout"
    r"|communicator (?:was|has been) aborted|remote process exited|ncclRemoteError|wait timeout after \d+ms"
)


def killed_worker(error: BaseException, where: str = "") -> str | None:
    """Return what has happened and what to do if a worker of a data loader was killed; None for another error.

    Args:
        error: What torch has raised, at any place of the training process.
        where: What was being read.
    """
    found = _KILLED.search(str(error)) if isinstance(error, RuntimeError) else None
    if found is None:
        return None
    return (
        f"A worker of the data loader (process {found['worker']}) was killed{where}, mostly because memory ran out. "
        "Lower `num_workers` or `batch_size` of the data and go on from the last checkpoint; with `num_workers: 0` a "
        "sample that is too large shows itself."
    )


def lost_rank(error: BaseException) -> str | None:
    """Return what has happened and what to do if another rank is gone or hangs; None for another error."""
    if not isinstance(error, RuntimeError):
        return None
    text = " ".join(str(error).split())
    is_of_group = type(error).__name__.startswith("Dist") or "gloo" in text or "nccl" in text.lower()
    found = _GONE.search(text) if is_of_group else None
    if found is None:
        return None
    return (
        f"Another process of this run is gone or does not answer ({found[0]}); its own output says why. Go on from the "
        "last checkpoint with `ckpt_path: last`, which `torchrun --max-restarts` does by itself."
    )
