from types import SimpleNamespace

import pytest

from lightning_abkd.data import byte_tokenizer
from lightning_abkd.language._vocabulary import common_vocabulary, log_padding, padding_ids


def sized(size):
    text = SimpleNamespace(vocab_size=size)
    return SimpleNamespace(config=SimpleNamespace(get_text_config=lambda: text))


def test_networks_of_one_size_keep_all_ids():
    assert common_vocabulary(sized(400), sized(400), byte_tokenizer()) is None
    assert common_vocabulary(sized(400), None, byte_tokenizer()) is None


def test_differently_padded_networks_share_the_tokenizers_ids():
    assert common_vocabulary(sized(400), sized(512), byte_tokenizer()) == 384
    assert common_vocabulary(sized(400), sized(512), None) is None


def test_padding_is_counted():
    assert padding_ids(384, 400, "student") == 16
    assert padding_ids(None, 400, "student") == 0


def test_too_small_a_network_is_named():
    with pytest.raises(ValueError, match="Found `vocabulary = 384` and 300 ids in the logits of the teacher"):
        padding_ids(384, 300, "teacher")


def test_padding_is_logged_where_there_is_any():
    logged = []
    for size in (384, 400):
        log_padding(384, size, "student", logged.append)
    assert logged == ["Left out 16 padding ids of the student's 400."]
