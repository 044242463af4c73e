"""Named tensors of a batch: logits of each view and, from the same pass, penultimate features."""

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from torch import Tensor, nn

import lightning_abkd.training._checks as checks
from lightning_abkd.losses import DistillationLoss
from lightning_abkd.training._batches import Signals


def check_wanted(
    loss: DistillationLoss,
    networks: Mapping[str, nn.Module | None],
    paths: Mapping[str, str | None],
    compiled: bool,
    teacher_later: bool,
) -> None:
    """Raise ValueError if a loss asks for a signal that neither the networks nor a batch can provide.

    With `teacher_later`, a missing teacher counts as one that provides everything.
    """
    if compiled and "student_features" in loss.accepted_signals:
        raise ValueError(
            f"Parameter `compile_student` should be False for {type(loss).__name__}, which asks for "
            "`student_features`: a compiled student bypasses what collects them. Found `compile_student = True`."
        )
    provided = ["labels", "index"]
    for name, network in networks.items():
        if network is not None or teacher_later:
            provided += [f"{name}_logits", f"{name}_logits_strong"]
        if teacher_later if network is None else _has_features(network, paths[name]):
            provided.append(f"{name}_features")
    checks.check_signals(loss, provided)


def _has_features(network: nn.Module, path: str | None) -> bool:
    return path is not None or callable(getattr(network, "forward_features", None))


def check_path(network: nn.Module | None, path: str | None, name: str) -> None:
    """Raise ValueError, with names that exist, if a path leads to no submodule of the network."""
    if network is None or path is None:
        return
    names = [submodule for submodule, _ in network.named_modules() if submodule]
    if path not in names:
        close = ", ".join(difflib.get_close_matches(path, names, 5))
        children = ", ".join(child for child, _ in network.named_children())
        raise ValueError(
            f"Parameter `{name}_features` should be the path of a submodule of {type(network).__name__}. "
            f"Found `{name}_features = {path!r}`. "
            + (f"Did you mean {close}?" if close else f"It has {children or 'no submodules'}.")
        )


def outputs(
    name: str,
    run: Callable[[Tensor], object],
    network: nn.Module,
    views: Sequence[Tensor],
    path: str | None,
    wanted: Sequence[str],
) -> Signals:
    """Run a network once on each view of a batch.

    Args:
        name: "student" or "teacher", the first part of the signals' names.
        run: Function that runs the network on one view.
        network: The network itself.
        views: The inputs, or a pair of weakly and strongly augmented ones.
        path: Submodule whose output is the features; None: what the network's own `forward_features` returns.
        wanted: Names of the signals that the loss takes; features of the first view are collected if they are named.

    Returns:
        `{name}_logits`, `{name}_logits_strong` of a second view, and `{name}_features` (B, D) if they are wanted.
    """
    signals: Signals = {}
    features = f"{name}_features" in wanted and _has_features(network, path)
    for view, suffix in zip(views, ("", "_strong"), strict=False):
        with _collected(network, path, features and not suffix) as found:
            try:
                output = run(view)
            except RuntimeError as error:
                checks.check_channels(network, view, name, error)
                checks.check_dtype(network, view, name, error)
                raise
        signals[f"{name}_logits{suffix}"] = checks.logits_of(output, name)
        if features and not suffix:
            signals[f"{name}_features"] = _pooled(found, name, path)
    return signals


@contextmanager
def _collected(network: nn.Module, path: str | None, wanted: bool) -> Iterator[list[object]]:
    """Collect what a submodule or `forward_features` returns; afterwards the network is as before."""
    found: list[object] = []
    if not wanted:
        yield found
    elif path is not None:
        handle = network.get_submodule(path).register_forward_hook(lambda _, __, output: found.append(output))
        try:
            yield found
        finally:
            handle.remove()
    else:
        own: Callable[..., object] = getattr(network, "forward_features")  # noqa: B009

        def kept(*inputs: object, **options: object) -> object:
            found.append(own(*inputs, **options))
            return found[-1]

        vars(network)["forward_features"] = kept
        try:
            yield found
        finally:
            del vars(network)["forward_features"]


def _pooled(found: list[object], name: str, path: str | None) -> Tensor:
    """Average the features collected last to shape (B, D): over the positions of maps, or over tokens."""
    place = "`forward_features`" if path is None else f"the submodule {path!r}"
    if not found:
        raise ValueError(
            f"The {name}'s forward pass should go through {place}. Found that it does not. "
            f"Set `{name}_features` to the path of a submodule that it goes through."
        )
    features = found[-1]
    if not isinstance(features, Tensor) or features.dim() < 2:
        kind = tuple(features.shape) if isinstance(features, Tensor) else type(features).__name__
        raise TypeError(
            f"The {name}'s features should be a tensor (B, D), (B, D, H, W) or (B, tokens, D). "
            f"Found {kind} at {place}. Set `{name}_features` to the path of another submodule."
        )
    if features.dim() == 3:
        return features.mean(1)
    return features.flatten(2).mean(2) if features.dim() > 3 else features
