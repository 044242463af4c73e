from argparse import ArgumentError

import pytest
from jsonargparse import _typehints

from lightning_abkd.training._calls import other_calls_refused


def test_others_parse_as_before_afterwards():
    before = _typehints.adapt_class_type
    with other_calls_refused():
        assert _typehints.adapt_class_type is not before
    assert _typehints.adapt_class_type is before


def test_what_cannot_be_built_is_one_sentence():
    with (
        pytest.raises(ValueError, match="describe objects that can be built. Found no class. Pass"),
        other_calls_refused(),
    ):
        raise ArgumentError(None, "no\n class. Got value: {}")
