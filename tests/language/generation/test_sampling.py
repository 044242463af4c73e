import pytest

from lightning_abkd.data import byte_tokenizer
from lightning_abkd.language.generation._sampling import SpecialIds, seed_of_stream, special_ids_of
from lightning_abkd.modules import Sampling
from tests.language._text import network


def test_special_ids_come_from_tokenizer_or_configuration():
    assert special_ids_of(byte_tokenizer(), network(0)) == SpecialIds(1, 0)
    assert special_ids_of(None, network(0), 7) == SpecialIds(1, 1, 7)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_new_tokens": 0}, "`max_new_tokens` should be at least 1"),
        ({"temperature": -1.0}, "`temperature` should be finite and at least 0"),
        ({"top_p": 0.0}, r"`top_p` should lie in \(0, 1\]"),
        ({"no_repeat_ngram_size": -1}, "`no_repeat_ngram_size` should be at least 0"),
    ],
)
def test_bad_numbers_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        Sampling(**options)


def test_streams_of_streams_never_meet():
    batches = [seed_of_stream(seed, batch) for seed in range(5) for batch in range(50)]
    seeds = [seed_of_stream(batch, role) for batch in batches for role in (1, 2)]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_padding_beyond_the_embedding_is_another_id():
    tokenizer = byte_tokenizer()
    tokenizer.add_special_tokens({"pad_token": "[PAD]"})
    assert special_ids_of(tokenizer, network(0)) == SpecialIds(1, 1)
