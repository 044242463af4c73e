"""What is said about files of weights that are missing, broken or of another kind."""

import argparse
from collections.abc import Callable
from pathlib import Path

from lightning_abkd._utils import needed_code

SUFFIXES = (".ckpt", ".pt", ".pth", ".safetensors", ".bin")
# What a file begins with that was taken for weights.
_KINDS = {
    b"version https://git-lfs": "a pointer of Git LFS: run `git lfs pull` where it comes from",
    b"<!DOCTYPE": "a web page: download the file itself",
    b"<html": "a web page: download the file itself",
    b"GGUF": "a GGUF file: `causal_lm` reads it as `gguf_file`",
    b"\x93NUMPY": "an array of numpy: save a state dict of tensors",
    b"\x89HDF": "an HDF5 file of Keras: convert it to a state dict first",
}


def harmless_classes() -> list[Callable[..., object] | tuple[Callable[..., object], str]]:
    """Return the classes without side effects that training scripts put beside weights: arguments, numbers of numpy."""
    import numpy

    number: Callable[..., object] = getattr(numpy.float64(0), "__reduce__")()[0]  # noqa: B009  (annotated as text, too)
    kinds = [type(numpy.dtype(kind)) for kind in ("float64", "float32", "int64", "int32", "bool")]
    # numpy has moved this function, and files name the place of their time.
    numbers = [(number, "numpy.core.multiarray.scalar"), (number, "numpy._core.multiarray.scalar")]
    return [argparse.Namespace, numpy.dtype, *kinds, *numbers]


def unreadable(path: Path, error: Exception) -> str:
    """Return what is wrong with a file that could not be read."""
    with path.open("rb") as file:
        start = file.read(32).lstrip()
    for sign, kind in _KINDS.items():
        if start.lower().startswith(sign.lower()):
            return f"Parameter `checkpoint` should be a file of weights. Found {path}, which is {kind}."
    needed = needed_code(error)
    if needed is not None:
        return (
            f"Parameter `checkpoint` should hold tensors and plain containers only. Found {path}, which needs "
            f"pickle to run code: {needed}. If you trust its source, convert it once in an isolated place: "
            '`torch.save(torch.load(path, weights_only=False)["state_dict"], new_path)`, or `.state_dict()` of what it '
            "loads where that is a network."
        )
    if "TorchScript archives" in str(error):
        return (
            f"Parameter `checkpoint` should hold weights, not a program. Found {path} of TorchScript. "
            "Convert it once: `torch.save(torch.jit.load(path).state_dict(), new_path)`."
        )
    reason = str(error).strip().partition("\n")[0] or "it ends too early"
    # What torch adds is its advice to run the code in any file.
    reason = reason.partition(" In PyTorch 2.6")[0].rstrip(".")
    return (
        f"Parameter `checkpoint` should be a readable file of weights. Found {path} of {path.stat().st_size} "
        f"bytes, which could not be read ({type(error).__name__}: {reason}). It may be cut off, or of another kind: "
        "copy it again, or save `network.state_dict()` where it comes from."
    )


def no_such_file(path: Path) -> str:
    """Return which files of weights there are where one is missing."""
    folder = path if path.is_dir() else path.parent
    place = folder.resolve()
    if not folder.is_dir():
        advice = f"There is no folder {place} either."
    else:
        found = sorted(file.name for file in folder.iterdir() if file.suffix in SUFFIXES)
        advice = f"In {place} there is: {', '.join(found[:8])}." if found else f"In {place} there are no weights."
    return f"Parameter `checkpoint` should be the path of a file. Found `checkpoint = {str(path)!r}`. {advice}"
