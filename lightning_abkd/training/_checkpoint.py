"""Weights of networks in files. Names that wrappers add are ignored, and no code in a file runs."""

from collections.abc import Mapping
from pathlib import Path

from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor, nn

from lightning_abkd.training._own_names import own_names, own_state, unwrap
from lightning_abkd.training._pruned_weights import with_masks_applied
from lightning_abkd.training._weight_files import read_entries, write_weights
from lightning_abkd.training._weight_names import Choice, Expected, choose
from lightning_abkd.training._weight_values import completed, conversions


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
        checkpoint: Path of the file, of the index of a sharded one, or of a folder.
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

    Reads Lightning checkpoints, state dicts (also as an entry of a dict, such as "state_dict" or "model"), safetensors,
    sharded files by their index, and folders that transformers wrote. What `torch.compile`, DataParallel and averages
    put into names is ignored on both sides. A network that is not pruned takes what masks leave of pruned weights. A
    name of tied weights may be absent. Where the dtypes differ, values are rounded, which the log says. Nothing but
    tensors and plain containers is unpickled, so a file cannot run code.

    Args:
        network: The network to fill, on any device.
        path: A file, the index of a sharded one, or a folder.
        prefix: What precedes the network's names in the file, such as "model.", or the entry that holds them, such as
            "model_ema." None takes the weights rather than averages of them: no prefix, then "student." (a
            `DistillationModule`), then every other one, of which only one may fit. The log says what else would fit.

    Returns:
        The same network.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file cannot be read, holds no weights, or its weights do not fit the network, which stays as
            it was.

    Example:
        >>> import tempfile, torch
        >>> student, file = nn.Linear(2, 1), Path(tempfile.mkdtemp()) / "student.pt"
        >>> torch.save({"model": {"module.weight": torch.ones(1, 2), "module.bias": torch.zeros(1)}}, file)
        >>> load_weights(student, file)(torch.ones(2)).item()
        2.0
    """
    path = Path(path).expanduser()
    inner = unwrap(network)
    state = own_state(inner)
    _check_has_memory(state)
    expected = Expected.by(state)
    entries = {entry: with_masks_applied(weights, state) for entry, weights in read_entries(path).items()}
    choice = choose(entries, expected, prefix, path)
    weights = completed(choice.chosen.weights, state, expected, path)
    messages = [_said(choice, path), conversions(weights, state, path)]
    # Wrappers inside the network keep their own state.
    current = inner.state_dict()
    inner.load_state_dict({**current, **{name: weights[own] for name, own in own_names(inner, current).items()}})
    for message in filter(None, messages):
        rank_zero_info(message)
    return network


def check_weights(path: str | Path) -> None:
    """Read a file of weights for another library to read it again: it holds tensors, and its pickle runs no code.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it cannot be read or holds no tensors.
    """
    read_entries(Path(path).expanduser())


def save_weights(network: nn.Module, path: str | Path) -> Path:
    """Write the state dict of a network to a file that `torch.load` or safetensors reads without this library.

    The names are the network's own, also where `torch.compile`, DataParallel or an average wraps it or parts of it.
    Weights that are tied are written once: safetensors leaves the later names out, as its own `save_model` does, and
    `safetensors.torch.load_model` or `load_weights` ties them again.

    Args:
        network: The network to save, on any device.
        path: File to write, by safetensors if it ends in .safetensors, else by `torch.save`. Its folder is created.

    Returns:
        The path.

    Raises:
        ValueError: If the network has weights without values, or .safetensors cannot hold one of them.

    Example:
        >>> import tempfile, torch
        >>> path = save_weights(nn.Linear(2, 1), Path(tempfile.mkdtemp()) / "linear.pt")
        >>> sorted(torch.load(path))
        ['bias', 'weight']
    """
    path = Path(path).expanduser()
    write_weights(own_state(network), path)
    return path


def _check_has_memory(state: Mapping[str, object]) -> None:
    meta = [name for name, value in state.items() if isinstance(value, Tensor) and value.is_meta]
    if meta:
        raise ValueError(
            f"Parameter `network` should have memory for its weights. Found `{meta[0]}` on the device meta. "
            'Call `network.to_empty(device="cpu")` first.'
        )


def _said(choice: Choice, path: Path) -> str:
    """Return which weights of several were taken, "" if there was no choice."""
    if not choice.others:
        return ""
    others = " or ".join(f'`prefix="{other.label}"`' for other in choice.others[:3])
    return f"Took the weights of {path} under {choice.chosen.title}. Others fit as well: {others} takes them."
