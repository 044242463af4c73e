from types import SimpleNamespace

from tokenizers import Tokenizer as Words
from tokenizers.models import WordLevel
from transformers import ByT5Tokenizer, PreTrainedTokenizerFast

from lightning_abkd.data import byte_tokenizer
from lightning_abkd.diagnostics.doctor._tokenizers import tokenizers
from tests.diagnostics.doctor._patients import gpt2

DATA = SimpleNamespace(tokenizer=byte_tokenizer())


def test_sizes_that_fit_are_green():
    found = tokenizers(DATA, gpt2(), gpt2(vocab_size=400))
    assert found.text.startswith("the sizes fit (data 384, student 384, teacher 400)")
    given = SimpleNamespace(tokenizer=DATA.tokenizer, teacher_tokenizer=DATA.tokenizer)
    assert tokenizers(given, gpt2(), gpt2()).text.startswith("the same tokens")


def test_a_network_with_fewer_ids_is_red():
    found = tokenizers(DATA, gpt2(), gpt2(vocab_size=200))
    assert found.text == "Other tokenizer: that of the data has 384 ids, and the teacher 200."


def beside(folder, tokenizer):
    """Return a network that was read from a folder with a tokenizer."""
    tokenizer.save_pretrained(folder)
    network = gpt2()
    network.config._name_or_path = str(folder)
    return network


def test_the_tokenizer_in_the_teachers_folder_is_compared(tmp_path):
    assert tokenizers(DATA, gpt2(), beside(tmp_path, byte_tokenizer())).text.startswith("the same tokens")
    words = {f"word{number}": number for number in range(384)}
    other = PreTrainedTokenizerFast(tokenizer_object=Words(WordLevel(words, "word0")))
    found = tokenizers(DATA, gpt2(), beside(tmp_path / "other", other))
    assert found.text.startswith(
        "Other tokenizer: that of the teacher has other tokens for 384 ids, such as 0: 'word0'"
    )


def test_an_added_or_renamed_padding_token_is_no_other_tokenizer(tmp_path):
    renamed = ByT5Tokenizer(pad_token="<nothing>")
    assert not tokenizers(DATA, gpt2(), beside(tmp_path, renamed)).is_red
    padded = SimpleNamespace(get_vocab=lambda: {"a": 0, "<pad>": 384}, all_special_ids=[384])
    assert not tokenizers(SimpleNamespace(tokenizer=padded), gpt2(), gpt2()).is_red


def test_images_have_no_tokenizer():
    assert tokenizers(None, gpt2(), None).state == "not checked"
