"""Batches of inputs and labels, in the forms in which data loaders yield them."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor

# Every task has its own type of batch. With another type than Any, an override could not name it.
Batch: TypeAlias = Any
Signals = dict[str, Tensor]

# Names under which a mapping holds its parts, the usual ones first.
_INPUTS = ("pixel_values", "image", "images", "img", "inputs", "input", "x")
_LABELS = ("labels", "label", "targets", "target", "y")
_INDEX = ("index",)


def tensors_in(value: object) -> Iterator[Tensor]:
    """Yield the tensors in mappings and sequences, however they are nested, in their order."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from tensors_in(each)
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        for each in value:
            yield from tensors_in(each)


class Views(NamedTuple):
    """A batch in parts: the one or two views of its inputs, and the signals that it holds beside them."""

    inputs: Sequence[Tensor]
    signals: Signals


def views_of(batch: Batch, training: bool) -> Views:
    """Split a batch into its views and the signals that it holds: labels and, in training, index.

    Args:
        batch: Inputs; a sequence (inputs), (inputs, labels) or (inputs, labels, index); or a mapping, dataclass or
            named tuple with such entries, whose other entries are not read. Inputs are a tensor or a pair of views.
        training: Whether the positions of the samples are read too.

    Raises:
        TypeError: If the batch has another form.
        ValueError: If a mapping holds a part under two names.
    """
    inputs, labels, index = _parts(batch)
    named = {"labels": _tensor(labels), "index": _tensor(index) if training else None}
    return Views(_views(inputs, batch), {name: value for name, value in named.items() if value is not None})


def inputs_of(batch: Batch) -> Tensor:
    """Return the inputs of a batch, the first view where there are two; errors as in `views_of`."""
    return views_of(batch, training=False).inputs[0]


def _parts(batch: Batch) -> tuple[object, object, object]:
    """Return inputs, labels and index; None for those that are not there."""
    if isinstance(batch, Tensor):
        return batch, None, None
    named = _as_mapping(batch)
    if named is not None:
        return _entry(named, _INPUTS), _entry(named, _LABELS), _entry(named, _INDEX)
    if not isinstance(batch, Sequence) or isinstance(batch, str | bytes) or not batch:
        raise _unknown(batch)
    inputs, labels, index = (*batch[:3], None, None)[:3]
    within = _as_mapping(inputs)
    return inputs if within is None else _entry(within, _INPUTS), labels, index


def _as_mapping(batch: object) -> Mapping[str, object] | None:
    """Return the named entries of a mapping, a dataclass or a named tuple with known names; None for anything else."""
    if isinstance(batch, Mapping):
        return batch
    if dataclasses.is_dataclass(batch) and not isinstance(batch, type):
        return {field.name: getattr(batch, field.name) for field in dataclasses.fields(batch)}
    names: Sequence[str] = getattr(batch, "_fields", ())
    return {name: getattr(batch, name) for name in names} if set(names) & {*_INPUTS} else None


def _entry(batch: Mapping[str, object], names: Sequence[str]) -> object:
    """Return the entry of a mapping under one of its names; None if it has none, or only empty ones."""
    found = {name: batch[name] for name in names if batch.get(name) is not None}
    if len(found) > 1:
        raise ValueError(
            f"A batch should hold its {names[0]} under one name. Found a mapping with {' and '.join(found)}. "
            "Leave one out, or override `signals` to read it."
        )
    return next(iter(found.values()), None)


def _views(inputs: object, batch: object) -> Sequence[Tensor]:
    if isinstance(inputs, Tensor):
        return (inputs,)
    if isinstance(inputs, Sequence) and inputs and all(isinstance(view, Tensor) for view in inputs):
        return inputs
    raise _unknown(batch)


def _tensor(values: object) -> Tensor | None:
    """Return a tensor, or numbers as a tensor; None for anything else, such as names of files."""
    if isinstance(values, Tensor):
        return values
    numbers = isinstance(values, Sequence) and values and all(isinstance(value, int | float) for value in values)
    return torch.as_tensor(values) if numbers or hasattr(values, "__array_interface__") else None


def _unknown(batch: object) -> TypeError:
    return TypeError(
        "A batch should be (inputs, labels), inputs alone, or a mapping with "
        f"`{_INPUTS[0]}` (or {', '.join(_INPUTS[1:])}) and `{_LABELS[0]}` (or {', '.join(_LABELS[1:])}), "
        "where inputs are a tensor or a pair of views. "
        f"Found {_described(batch)}. Override `signals` to read it."
    )


def _described(batch: object) -> str:
    named = _as_mapping(batch)
    if named is not None:
        return (
            f"a {type(batch).__name__} of {', '.join(f'{name}: {_kind(x)}' for name, x in named.items()) or 'nothing'}"
        )
    if isinstance(batch, Sequence) and not isinstance(batch, str | bytes):
        return f"a {type(batch).__name__} of ({', '.join(map(_kind, batch[:4]))})"
    return f"a batch of type {type(batch).__name__}"


def _kind(value: object) -> str:
    if isinstance(value, Tensor):
        return f"{tuple(value.shape)} {value.dtype}".replace("torch.", "")
    return type(value).__name__
