"""What holds for every test and every example of a docstring, wherever it lies."""

import re
from collections.abc import Generator, Iterator
from doctest import UnexpectedException
from importlib.util import find_spec

import pytest
import torch


class Precision:
    """Runs in float32 what is about it: tests with the mark `float32`, and examples in docstrings, which show it."""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        default = torch.get_default_dtype()
        if isinstance(item, pytest.DoctestItem) or item.get_closest_marker("float32"):
            torch.set_default_dtype(torch.float32)
        try:
            return (yield)
        finally:
            torch.set_default_dtype(default)


class Extras:
    """Skips what the package refuses for want of an extra, which its error names."""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_setup(self) -> Generator[None, object, object]:
        return (yield from self._skip())

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self) -> Generator[None, object, object]:
        return (yield from self._skip())

    def _skip(self) -> Generator[None, object, object]:
        try:
            return (yield)
        except BaseException as error:
            found = next(filter(None, map(missing_extra, causes(error))), None)
            if found is None:
                raise
            pytest.skip(found)


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what it comes from; that of an example in a docstring holds the one that was raised there."""
    while error is not None:
        yield error
        if isinstance(error, UnexpectedException):
            yield from causes(error.exc_info[1])
        error = error.__cause__ or error.__context__


def missing_extra(error: BaseException) -> str | None:
    """What is missing and which extra brings it, if the package said so and it is really not there."""
    extra = re.search(r"pip install 'lightning-abkd\[(\w+)\]'", str(error))
    if extra is None or not isinstance(error, ModuleNotFoundError):
        return None
    package = next(x.name for x in causes(error) if isinstance(x, ModuleNotFoundError) and x.name).partition(".")[0]
    return f"needs {package}, of the extra {extra[1]!r}" if find_spec(package) is None else None
