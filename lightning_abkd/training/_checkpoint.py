"""Weights of networks in files. Names that wrappers add are ignored, and no code in a file runs."""

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from lightning_abkd._utils import write_whole

_SUFFIXES = (".ckpt", ".pt", ".pth", ".safetensors")
# What torch.compile and DistributedDataParallel put into the names of parameters.
_WRAPPERS = ("_orig_mod", "module")


def load_pretrained(network: nn.Module, checkpoint: str, prefix: str | None = None) -> nn.Module:
    """Load the weights of a file into a network and return it: `load_weights` for use in configs.

    .. code-block:: yaml

        teacher:
          class_path: lightning_abkd.models.load_pretrained
          init_args:
            network: {class_path: lightning_abkd.models.resnet32x4}
            checkpoint: runs/teacher.ckpt

    Args:
        network: The network to fill, of the architecture that was saved.
        checkpoint: Path of the file.
        prefix: As in `load_weights`.

    Returns:
        The same network.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file cannot be read or its weights do not fit the network.

    Example:
        >>> import tempfile
        >>> path = save_weights(nn.Linear(2, 1), Path(tempfile.mkdtemp()) / "linear.pt")
        >>> load_pretrained(nn.Linear(2, 1), str(path))
        Linear(in_features=2, out_features=1, bias=True)
    """
    return load_weights(network, checkpoint, prefix)


def load_weights(network: nn.Module, path: str | Path, prefix: str | None = None) -> nn.Module:
    """Load the weights of a file into a network, in place and strictly.

    Reads Lightning checkpoints, state dicts (also as the entry "state_dict" or "model" of a dict, as RepDistiller saves
    its teachers) and safetensors. The prefixes "module." of DistributedDataParallel and "_orig_mod." of `torch.compile`
    are ignored on both sides. Nothing but tensors and plain containers is unpickled, so a file cannot run code.

    Args:
        network: The network to fill, on any device.
        path: File ending in .safetensors, or anything that `torch.save` wrote.
        prefix: What precedes the network's names in the file, such as "model.". None tries no prefix, then "student."
            (a `DistillationModule`), then every other one, of which only one may fit.

    Returns:
        The same network.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file cannot be read, holds no weights, or its weights do not fit the network.

    Example:
        >>> import tempfile
        >>> student, file = nn.Linear(2, 1), Path(tempfile.mkdtemp()) / "student.pt"
        >>> torch.save({"model": {"module.weight": torch.ones(1, 2), "module.bias": torch.zeros(1)}}, file)
        >>> load_weights(student, file)(torch.ones(2)).item()
        2.0
    """
    path = Path(path)
    weights = {_unwrapped(name): tensor for name, tensor in _state_dict(_read(path), path).items()}
    names = {_unwrapped(name): name for name in network.state_dict()}
    shapes = {_unwrapped(name): _shape(value) for name, value in network.state_dict().items()}
    prefix = _matching_prefix(weights, shapes, path) if prefix is None else prefix
    chosen = _under(weights, prefix)
    if problems := _mismatches(chosen, shapes):
        raise ValueError(
            f"Parameter `network` should have the architecture of the weights in {path}. "
            f'Found, for the prefix "{prefix}":\n' + "\n".join(problems) + "\n"
            "Build the network as it was when the file was saved (depth, width, number of classes, input channels), "
            "or name the part of the file to load with `prefix`."
        )
    network.load_state_dict({names[name]: tensor for name, tensor in chosen.items()})
    return network


def save_weights(network: nn.Module, path: str | Path) -> Path:
    """Write the state dict of a network to a file that `torch.load` or safetensors reads without this library.

    Args:
        network: The network to save, on any device.
        path: File to write, by safetensors if it ends in .safetensors, else by `torch.save`. Its folder is created.

    Returns:
        The path.

    Example:
        >>> import tempfile
        >>> path = save_weights(nn.Linear(2, 1), Path(tempfile.mkdtemp()) / "linear.pt")
        >>> sorted(torch.load(path))
        ['bias', 'weight']
    """
    path = Path(path)
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    with write_whole(path) as part:
        if path.suffix == ".safetensors":
            from safetensors.torch import save_file

            save_file(weights, part)
        else:
            torch.save(weights, part)
    return path


def _read(path: Path) -> object:
    """Return the contents of the file. Tensors are on the CPU, and memory-mapped where the format allows it."""
    if not path.is_file():
        raise FileNotFoundError(_no_such_file(path))
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except Exception as error:  # every reader has its own exceptions for broken files
        raise ValueError(_unreadable(path, error)) from error


def _unreadable(path: Path, error: Exception) -> str:
    if isinstance(error, pickle.UnpicklingError) and "WeightsUnpickler error: Unsupported global" in str(error):
        what = str(error).partition("WeightsUnpickler error: ")[2].partition(" by default")[0]
        return (
            f"Parameter `checkpoint` should hold tensors and plain containers only. Found {path}, which needs "
            f"pickle to run code: {what}. If you trust its source, convert it once in an isolated place: "
            '`torch.save(torch.load(path, weights_only=False)["state_dict"], new_path)`.'
        )
    reason = str(error).strip().partition("\n")[0] or "it ends too early"
    return (
        f"Parameter `checkpoint` should be a readable file of weights. Found {path} of {path.stat().st_size} "
        f"bytes, which could not be read ({type(error).__name__}: {reason}). It may be cut off: copy it again."
    )


def _no_such_file(path: Path) -> str:
    folder = path if path.is_dir() else path.parent
    if not folder.is_dir():
        advice = f"There is no folder {folder} either."
    else:
        found = sorted(file.name for file in folder.iterdir() if file.suffix in _SUFFIXES)
        advice = f"In {folder} there is: {', '.join(found[:8])}." if found else f"In {folder} there are no weights."
    return f"Parameter `checkpoint` should be the path of a file. Found `checkpoint = {str(path)!r}`. {advice}"


def _state_dict(content: object, path: Path) -> dict[str, Tensor]:
    """Return the named tensors of a state dict, or of the entry of a checkpoint that is a state dict."""
    if isinstance(content, Mapping):
        for part in (content.get("state_dict"), content.get("model"), content):
            if isinstance(part, Mapping):
                tensors = {str(name): x for name, x in part.items() if isinstance(x, Tensor)}
                if tensors:
                    return tensors
    found = f"a dict of {sorted(map(str, content))[:8]}" if isinstance(content, Mapping) else type(content).__name__
    raise ValueError(
        'Parameter `checkpoint` should hold a state dict, as it is or under "state_dict" or "model". '
        f"Found {found} in {path}. Save `network.state_dict()`."
    )


def _unwrapped(name: str) -> str:
    return ".".join(part for part in name.split(".") if part not in _WRAPPERS)


def _under(weights: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): x for name, x in weights.items() if name.startswith(prefix)}


def _shape(value: object) -> tuple[int, ...]:
    return tuple(value.shape) if isinstance(value, Tensor) else ()


def _matching_prefix(weights: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]], path: Path) -> str:
    """Return the prefix under which the weights fit, or else the one under which most names match."""
    candidates = ["", "student.", *_other_prefixes(weights, shapes)]
    fitting = [prefix for prefix in candidates if not _mismatches(_under(weights, prefix), shapes)]
    if not fitting:
        return max(candidates, key=lambda prefix: len(_under(weights, prefix).keys() & shapes.keys()))
    if len(fitting) > 1 and fitting[0] not in ("", "student."):
        raise ValueError(
            f"Parameter `prefix` should say which weights of {path} to load. Found several that fit: "
            f'{", ".join(fitting)}. Pass one of them, for example `prefix="{fitting[0]}"`.'
        )
    return fitting[0]


def _other_prefixes(weights: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]]) -> list[str]:
    """Return the prefixes of the network's own names in the file, except "student."."""
    found = {name.removesuffix(known) for name in weights for known in shapes if name.endswith(known)}
    return sorted(prefix for prefix in found - {"student."} if prefix.endswith("."))


def _mismatches(weights: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]]) -> list[str]:
    """Return lines about the first names that are missing, unexpected or of another shape; none if all fit."""
    other = [
        f"{name} {tuple(x.shape)} in the file, {shapes[name]} in the network"
        for name, x in weights.items()
        if tuple(x.shape) != shapes.get(name, tuple(x.shape))
    ]
    kinds = {
        "missing in the file": [name for name in shapes if name not in weights and not _is_counter(name)],
        "unexpected in the file": [name for name in weights if name not in shapes],
        "of another shape": other,
    }
    return [_first_names(names, kind) for kind, names in kinds.items() if names]


def _is_counter(name: str) -> bool:
    # torch itself fills in this counter, which old files lack.
    return name.endswith("num_batches_tracked")


def _first_names(names: list[str], kind: str) -> str:
    more = " …" if len(names) > 3 else ""
    return f"  {len(names)} {kind}: {'; '.join(names[:3])}{more}"
