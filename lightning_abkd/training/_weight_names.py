"""Which weights of a file are those of a network: their entry in the file, and what precedes the names there."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from torch import Tensor, nn

from lightning_abkd.training._own_names import StrippedNames, below, first_names, stripped_names
from lightning_abkd.training._weight_files import Weights

# Entries and prefixes of the weights themselves, first to last. Averages and other networks are taken if named.
_ENTRIES = ("state_dict", "model", "model_state_dict", "module", "network", "net", "params", "weights", "")
_PREFIXES = ("", "student.")


class Expected(NamedTuple):
    """What a network needs: the shape of each of its own names, and the first name of the same tensor."""

    shapes: Mapping[str, tuple[int, ...] | None]
    firsts: Mapping[str, str]

    @classmethod
    def by(cls, state: Mapping[str, object]) -> "Expected":
        """Return what a state dict needs. Lazy parameters and states that are no tensors have no shape yet."""
        return cls({name: _shape(value) for name, value in state.items()}, first_names(state))

    def mismatches(self, weights: Mapping[str, object]) -> dict[str, list[str]]:
        """Return names that are missing, unexpected or of another shape, by these words; nothing if all fit."""
        kinds = {
            "missing in the file": self._missing(weights),
            "unexpected in the file": [name for name, value in weights.items() if self._is_unexpected(name, value)],
            "of another shape": [
                f"{name} {_shape(value)} in the file, {self.shapes[name]} in the network"
                for name, value in weights.items()
                if self.shapes.get(name) not in (None, _shape(value))
            ],
        }
        return {kind: names for kind, names in kinds.items() if names}

    def _missing(self, weights: Mapping[str, object]) -> list[str]:
        """Return the names without a value, neither their own nor that of another name of the same tensor."""
        there = {self.firsts[name] for name in weights if name in self.firsts}
        return [name for name, first in self.firsts.items() if first not in there and not _is_counter(name)]

    def _is_unexpected(self, name: str, value: object) -> bool:
        # torch's AveragedModel counts beside its weights.
        is_count = name == "n_averaged" and _shape(value) == ()
        return name not in self.shapes and not is_count


class Candidate(NamedTuple):
    """Weights of a file that may be those of the network, by the network's own names."""

    entry: str
    prefix: str
    weights: Weights

    @property
    def label(self) -> str:
        """The argument `prefix` that takes these weights."""
        return f"{self.entry}.{self.prefix}" if self.entry else self.prefix

    @property
    def title(self) -> str:
        """The place in the file, for messages."""
        return f'the prefix "{self.prefix}"' + (f' of "{self.entry}"' if self.entry else "")


class Choice(NamedTuple):
    """The weights to load, and others of the file that would have fitted."""

    chosen: Candidate
    others: Sequence[Candidate]


def choose(entries: Mapping[str, Weights], expected: Expected, prefix: str | None, path: Path) -> Choice:
    """Return the weights of a file that fit a network.

    Raises:
        ValueError: If none fit, or several do of which none is preferred.
    """
    candidates: list[Candidate] = []
    for names in stripped_names(expected.shapes):
        view = _View(names, expected, prefix)
        found = [each for entry, weights in entries.items() for each in view.candidates(entry, weights)]
        if fitting := [each for each in found if each.weights and not expected.mismatches(each.weights)]:
            return _preferred(fitting, path)
        candidates += found
    raise ValueError(_none_fits(candidates, expected, prefix, path))


class _View(NamedTuple):
    """One way to compare the names of a file with the network's, under one prefix or under any (None)."""

    names: StrippedNames
    expected: Expected
    prefix: str | None

    def candidates(self, entry: str, weights: Weights) -> Iterator[Candidate]:
        """Yield the weights of an entry that may be those of the network."""
        if self.prefix is None:
            yield from self._under_any(entry, weights)
            return
        for given in dict.fromkeys([self.prefix, f"{self.prefix.removesuffix('.')}."]):
            yield from self._under_given(entry, weights, given)

    def _under_any(self, entry: str, weights: Weights) -> Iterator[Candidate]:
        stripped = self._stripped(weights)
        for prefix in dict.fromkeys([*_PREFIXES, *self._prefixes(stripped)]):
            yield self._under(entry, stripped, prefix)

    def _under_given(self, entry: str, weights: Weights, prefix: str) -> Iterator[Candidate]:
        for named in (weights, self._stripped(weights)):
            if below(named, prefix):
                yield self._under(entry, named, prefix)
        if entry and prefix.startswith(f"{entry}."):
            rest = prefix.removeprefix(f"{entry}.")
            yield from self._replace(prefix=rest or None).candidates(entry, weights)

    def _under(self, entry: str, weights: Weights, prefix: str) -> Candidate:
        inside = below(weights, prefix)
        return Candidate(entry, prefix, {self.names.by_stripped(name) or name: x for name, x in inside.items()})

    def _stripped(self, weights: Weights) -> Weights:
        stripped = {self.names.strip(name): x for name, x in weights.items()}
        return stripped if len(stripped) == len(weights) else weights

    def _prefixes(self, weights: Weights) -> list[str]:
        """Return what precedes the network's names in the file, in the file's order."""
        found = _before(weights, self._anchors())
        # None for an architecture that does not fit; other names show where it comes closest.
        return found or _before(weights, [self.names.strip(name) for name in self.expected.shapes][:64])

    def _anchors(self) -> list[str]:
        """Return all names of one tensor of the network: a file that fits has one of them."""
        firsts = self.expected.firsts
        anchor = next((first for name, first in firsts.items() if not _is_counter(name)), "")
        return [self.names.strip(name) for name, first in firsts.items() if first == anchor]


def _before(weights: Weights, names: Sequence[str]) -> list[str]:
    """Return what precedes some names of the network in a file, each once."""
    found = (name.removesuffix(known) for name in weights for known in names if name.endswith(f".{known}"))
    return list(dict.fromkeys(found))


def _preferred(fitting: Sequence[Candidate], path: Path) -> Choice:
    """Return the weights themselves rather than averages of them; refuse to choose between equals."""
    places = {(each.entry, each.prefix): each for each in fitting}
    entry = _first_of([entry for entry, _ in places], _ENTRIES)
    inside = [place for place in places if entry in (None, place[0])]
    prefix = _first_of([prefix for _, prefix in inside], _PREFIXES)
    if entry is not None and prefix is not None:
        chosen = places.pop((entry, prefix))
        return Choice(chosen, list(places.values()))
    labels = [places[place].label for place in inside]
    raise ValueError(
        f"Parameter `prefix` should say which weights of {path} to load. Found several that fit: "
        f'{", ".join(labels)}. Pass one of them, for example `prefix="{labels[0]}"`.'
    )


def _first_of(found: Sequence[str], order: Sequence[str]) -> str | None:
    """Return what comes first in an order, or the only one; None where there are several that it does not know."""
    known = [each for each in order if each in found]
    distinct = list(dict.fromkeys(found))
    return known[0] if known else distinct[0] if len(distinct) == 1 else None


def _none_fits(candidates: Sequence[Candidate], expected: Expected, prefix: str | None, path: Path) -> str:
    """Return what is wrong with the weights that come closest."""
    if not candidates:
        return (
            f"Parameter `prefix` should precede names in {path}. Found none after `prefix = {prefix!r}`. "
            "Leave it out to let it be found."
        )
    best = max(candidates, key=lambda each: len(each.weights.keys() & expected.shapes.keys()))
    return (
        f"Parameter `network` should have the architecture of the weights in {path}. "
        f"Found, for {best.title}: {first_of_each(expected.mismatches(best.weights))}. "
        "Build the network as it was when the file was saved (depth, width, number of classes, input channels), "
        "or name the part of the file to load with `prefix`."
    )


def first_of_each(mismatches: Mapping[str, list[str]]) -> str:
    """Return a clause about each kind of mismatch with its first names, at most three in all."""
    shown = max(1, 3 // max(1, len(mismatches)))
    return ", ".join(
        f"{len(names)} {kind} ({'; '.join(names[:shown])}{'; …' if len(names) > shown else ''})"
        for kind, names in mismatches.items()
    )


def _shape(value: object) -> tuple[int, ...] | None:
    return tuple(value.shape) if isinstance(value, Tensor) and not nn.parameter.is_lazy(value) else None


def _is_counter(name: str) -> bool:
    # Batch normalisation can do without this counter, which old files lack.
    return name.endswith("num_batches_tracked")
