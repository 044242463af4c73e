import json

import pytest
from jsonargparse import ArgumentError, ArgumentParser

from lightning_abkd.cli._addresses import show_public_addresses


class Data:
    def __init__(self, tokenizer: object | None = None, size: int = 0) -> None:
        self.tokenizer = tokenizer


@pytest.fixture
def parser():
    show_public_addresses()
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--data", type=Data)
    return parser


def tokenizer(parser, *arguments):
    return parser.parse_args([f"--data={__name__}.Data", *arguments]).data.init_args.tokenizer


@pytest.mark.parametrize(
    "given",
    [
        ["--data.tokenizer=load_tokenizer", "--data.tokenizer.path=mine"],
        ["--data.tokenizer=lightning_abkd.data.load_tokenizer", "--data.tokenizer.path=mine"],
        ["--data.tokenizer={class_path: load_tokenizer, init_args: {path: other}}", "--data.tokenizer.path=mine"],
        ["--data.tokenizer={class_path: load_tokenizer, init_args: {path: mine}}"],
    ],
)
def test_an_open_option_takes_a_short_name_and_its_options(parser, given):
    found = tokenizer(parser, *given)
    assert found.class_path == "lightning_abkd.data.load_tokenizer"
    assert found.init_args.path == "mine"


@pytest.mark.parametrize(("value", "expected"), [("3", 3), ("mine", "mine"), ("{a: 1}", {"a": 1}), ("null", None)])
def test_any_other_value_stays(parser, value, expected):
    assert tokenizer(parser, f"--data.tokenizer={value}") == expected


def test_an_option_without_a_class_is_refused(parser):
    with pytest.raises(ArgumentError, match="Option 'path' needs a class first"):
        tokenizer(parser, "--data.tokenizer.path=mine")


def test_what_a_class_says_is_the_cause_of_the_error(parser):
    parsed = parser.parse_args(
        [f"--data={__name__}.Data", "--data.tokenizer=load_tokenizer", "--data.tokenizer.path=:"]
    )
    with pytest.raises(ValueError, match="Does not validate") as caught:
        parser.instantiate(parsed)
    assert "NoneType" not in str(caught.value.__cause__).splitlines()[0]


FUNCTIONS = {
    "torch.load": {"f": "mine.pt"},
    "torch.save": {"obj": 1, "f": "mine.pt"},
    "torch.hub.load": {"repo_or_dir": "mine", "model": "mine"},
    "torch.hub.load_state_dict_from_url": {"url": "mine"},
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_that_does_not_say_that_it_returns_an_object_is_not_called(parser, name):
    call = json.dumps({"class_path": name, "init_args": FUNCTIONS[name]})
    with pytest.raises(ArgumentError, match="would be called, and does not say that it returns an object"):
        tokenizer(parser, f"--data.tokenizer={call}")


class Words:
    @classmethod
    def build(cls, size: int = 2):
        return cls()


def words(size: int = 2) -> "Words":
    return Words()


@pytest.mark.parametrize("name", ["Words", "Words.build", "words"])
def test_a_function_of_the_users_that_builds_an_object_is_called(parser, name):
    parsed = parser.parse_args([f"--data={__name__}.Data", f"--data.tokenizer={{class_path: {__name__}.{name}}}"])
    assert isinstance(parser.instantiate(parsed).data.tokenizer, Words)
