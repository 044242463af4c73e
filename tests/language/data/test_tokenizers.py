import pytest

from lightning_abkd.data import (
    byte_tokenizer,
    check_same_tokens,
    load_tokenizer,
    tokenizer_fingerprint,
    vocabulary_size,
)
from lightning_abkd.language.data._tokenizers import as_tokenizer, padding_id


def added(*tokens):
    larger = byte_tokenizer()
    larger.add_tokens(list(tokens))
    return larger


def test_tokenizer_loads_from_a_folder(tmp_path):
    byte_tokenizer().save_pretrained(tmp_path)
    assert load_tokenizer(str(tmp_path)).encode("ab") == byte_tokenizer().encode("ab")


def test_a_tokenizer_is_what_it_was():
    tokens = byte_tokenizer()
    assert as_tokenizer("tokenizer", tokens) is tokens
    with pytest.raises(TypeError, match="`tokenizer` should be a tokenizer of transformers. Found dict. Load one with"):
        as_tokenizer("tokenizer", {})


def test_added_tokens_are_real():
    assert vocabulary_size(added("<a>", "<b>")) == len(added("<a>", "<b>")) == 386


def test_same_tokens_pass():
    check_same_tokens(added("<a>"), added("<a>"))


def test_differing_ids_are_shown_with_both_tokens():
    with pytest.raises(ValueError, match="Found 2 ids .*: 384: '<a>' and '<b>'; 385: 'none' and '<a>'. Use a teacher"):
        check_same_tokens(added("<a>"), added("<b>", "<a>"))


def test_only_the_first_differing_ids_are_shown():
    with pytest.raises(ValueError, match="386: 'none' and '<c>' …"):
        check_same_tokens(byte_tokenizer(), added("<a>", "<b>", "<c>", "<d>"))


def test_fingerprint_tells_vocabularies_apart():
    assert tokenizer_fingerprint(added("<a>")) == tokenizer_fingerprint(added("<a>"))
    assert len({tokenizer_fingerprint(tokens) for tokens in (byte_tokenizer(), added("<a>"), added("<b>"))}) == 3


def test_missing_padding_token_is_logged(monkeypatch):
    tokens = byte_tokenizer()
    logged = []
    monkeypatch.setattr("lightning_abkd.language.data._tokenizers.rank_zero_info", logged.append)
    assert padding_id(tokens) == tokens.pad_token_id == 0
    tokens.pad_token = None
    assert padding_id(tokens) == tokens.eos_token_id
    assert logged == ["The tokenizer has no padding token: padding uses the end-of-text token and is masked."]
