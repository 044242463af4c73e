import pytest

from lightning_abkd.modules import Responder
from tests.language._text import language_module


def test_an_old_attribute_warns_and_is_the_new_one():
    module = language_module()
    with pytest.warns(DeprecationWarning, match="LanguageDistillationModule.special is now special_ids;") as caught:
        assert module.special == module.special_ids
    assert caught[0].filename == __file__


def test_what_is_assigned_reaches_the_new_method():
    module, responder = language_module(), Responder("teacher")
    with pytest.warns(DeprecationWarning, match="answering is now respond_with;.* version 0.3"):
        module.answering = responder
    with pytest.warns(DeprecationWarning, match="answering is now respond_with"):
        assert module.answering is responder


def test_an_attribute_that_was_read_alone_cannot_be_assigned():
    with pytest.raises(AttributeError, match="special is now special_ids"):
        language_module().special = 1
