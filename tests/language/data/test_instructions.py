import pytest
import torch
from jsonargparse import ArgumentParser
from lightning.pytorch import LightningDataModule

from lightning_abkd.data import IGNORE_INDEX, InstructionDataModule, alpaca_prompt, byte_tokenizer
from tests.language.data._text import chat_tokenizer, conversation, instruction_only, write

PAIRS = [("a", "b" * n) for n in (1, 2, 3, 4, 5, 6)]


def module(path, **options):
    options = {"template": instruction_only, "max_length": 12, "max_prompt_length": 6, **options}
    return InstructionDataModule(train_file=path, **{"validation_file": path, **options})


@pytest.fixture
def file(tmp_path):
    return write(tmp_path / "a.jsonl", *PAIRS)


def parsed(**options):
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(LightningDataModule, "data")
    spec = {"class_path": "lightning_abkd.data.InstructionDataModule", "init_args": options}
    return parser.instantiate_classes(parser.parse_object({"data": spec})).data


def test_the_embedded_tasks_split_by_seed():
    first, second, other = (InstructionDataModule(seed=seed) for seed in (0, 0, 1))
    assert first.fingerprint() == second.fingerprint() != other.fingerprint()
    texts = [{sample.prompt for sample in first.sets[name][""]} for name in ("train", "validation")]
    assert not texts[0] & texts[1]
    assert len(texts[0]) > 50


def test_loaders_give_whole_batches(file):
    batch = next(iter(module(file, batch_size=5).train_dataloader()))
    assert sorted(batch) == ["attention_mask", "index", "input_ids", "labels"]
    assert {value.shape[0] for value in batch.values()} == {5}


def test_setup_reads_every_file_of_the_stage_once(file, monkeypatch):
    data, read = module(file, test_file=f"{file}.missing"), []
    monkeypatch.setattr(data, "_read", lambda name: read.append(name) or ["sample"])
    for stage in ("fit", "fit", "validate"):
        data.setup(stage)
    assert read == [file, file]


def test_files_are_named_sets_in_their_order(tmp_path, file):
    other = write(tmp_path / "b.jsonl", ("x", "y"))
    data = module(file, validation_file={"z": other, "a": file}, test_file=None)
    assert [len(loader.dataset) for loader in data.val_dataloader()] == [1, 6]
    assert len(data.test_dataloader()) == 2
    assert [data.set_names(stage) for stage in ("validation", "test", "predict")] == [["z", "a"]] * 3


def test_single_set_has_no_name(file):
    data = module(file, test_file={"x": file}, predict_set="train")
    assert [data.set_names(stage) for stage in ("validation", "test", "predict")] == [[], ["x"], []]
    assert len(data.val_dataloader().dataset) == 6


def test_record_is_what_index_stands_for(tmp_path):
    path = write(tmp_path / "a.jsonl", ("a", "b"), ("c", ["d", "e"]))
    data = module(path, template=None, max_prompt_length=400, max_length=500, predict_set="train")
    for batch in (*data.predict_dataloader(), *data.train_dataloader()):
        for index, ids in zip(batch["index"].tolist(), batch["input_ids"], strict=True):
            sample = data.record("train", index)
            assert ids[: len(sample)].tolist() == sample.input_ids.tolist()
    assert (data.record("train", 1).prompt, data.record("test", 1).references) == (alpaca_prompt("c"), ("d", "e"))


def test_record_asks_for_the_name_of_the_set(file):
    data = module(file, test_file={"x": file, "y": file})
    assert data.record("test", 5, "y").references == ("bbbbbb",)
    with pytest.raises(ValueError, match=r"`name` should be in \['x', 'y'\] for test. Found `name = None`"):
        data.record("test", 0)
    with pytest.raises(ValueError, match=r"`name` should be in \[None\] for train. Found `name = 'x'`"):
        data.record("train", 0, "x")


def test_prediction_goes_in_order(file):
    data = module(file, predict_set="train", packing=True, batch_size=4)
    data.setup("predict")
    assert torch.cat([batch["index"] for batch in data.predict_dataloader()]).tolist() == list(range(6))


def test_packing_logs_how_many_rows(file, monkeypatch):
    logged = []
    monkeypatch.setattr("lightning_abkd.language.data._loaders.rank_zero_info", logged.append)
    data = module(file, packing=True, batch_size=9)
    (batch,) = data.train_dataloader()
    # 3 to 8 tokens a sample: 8 + 4, 7 + 5 and 6 + 3.
    assert logged == ["Packed 6 samples into 3 rows of up to 12 tokens."]
    assert sorted(batch) == ["input_ids", "labels", "position_ids"]
    assert batch["input_ids"].shape == (3, 12)
    assert "attention_mask" in next(iter(data.val_dataloader()))


def test_part_of_the_training_set_follows_the_seed(file):
    first, second, other = (module(file, train_size=3, seed=seed) for seed in (0, 0, 1))
    assert first.fingerprint() == second.fingerprint() != other.fingerprint()
    assert len(first.sets["train"][""]) == 3


def test_fingerprint_sees_ids_and_labels(tmp_path):
    files = [write(tmp_path / f"{i}.jsonl", pair) for i, pair in enumerate([("a", "bc"), ("ab", "c"), ("a", "bd")])]
    assert len({module(file).fingerprint() for file in files}) == 3
    assert len({module(file).fingerprint("test") for file in files[:1] * 2}) == 1


def test_conversations_are_written_by_the_chat_template(tmp_path):
    path = write(tmp_path / "a.jsonl", conversation("Hi", "Hello"))
    data = module(path, tokenizer=chat_tokenizer(), template="chat", max_length=90, max_prompt_length=80)
    assert data.record("train", 0).prompt == "<user>Hi\n<assistant>"


def test_other_tokenizer_of_the_teacher_is_an_error(file):
    teacher = byte_tokenizer()
    module(file, teacher_tokenizer=teacher).setup("fit")
    teacher.add_tokens(["<a>"])
    with pytest.raises(ValueError, match="384: 'none' and '<a>'"):
        module(file, teacher_tokenizer=teacher).setup("fit")


def test_a_tokenizer_without_padding_token_is_fine(file):
    tokens = byte_tokenizer()
    tokens.pad_token = None
    (batch,) = module(file, tokenizer=tokens).val_dataloader()
    assert (batch["labels"][batch["attention_mask"] == 0] == IGNORE_INDEX).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "`batch_size` should be at least 1"),
        ({"train_size": 0}, "`train_size` should be at least 1"),
        ({"max_length": 5, "max_prompt_length": 5}, "1 <= `max_prompt_length` < `max_length`"),
        (
            {"predict_set": "val"},
            "`predict_set` should be 'train', 'validation' or 'test'. Found .* = 'val'`",
        ),
        ({"test_file": {}}, "`test_file` should name every file"),
        ({"template": "chat"}, "`tokenizer` should have a chat template"),
    ],
)
def test_bad_arguments_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        InstructionDataModule(**options)


def test_what_is_no_tokenizer_is_named():
    with pytest.raises(TypeError, match="`tokenizer` should be a tokenizer of transformers. Found str"):
        InstructionDataModule(tokenizer="gpt2")
    with pytest.raises(TypeError, match="`teacher_tokenizer` should be .* Found int"):
        InstructionDataModule(teacher_tokenizer=1)


def test_options_are_attributes_that_may_be_set_as_by_the_batch_size_finder(file):
    data = module(file, batch_size=2)
    data.batch_size *= 2
    assert data.train_dataloader().batch_size == 4


def test_too_few_samples_are_an_error(tmp_path, file):
    with pytest.raises(ValueError, match="`train_size` should be at most 6.* Found `train_size = 7`"):
        module(file, train_size=7).setup("fit")
    with pytest.raises(ValueError, match="`train_file` should hold at least 2 samples"):
        module(write(tmp_path / "b.jsonl", ("a", "b")), validation_file=None).setup("fit")


def test_config_gives_templates_and_named_files(file):
    chat = {"class_path": "tests.language.data._text.chat_tokenizer"}
    assert parsed(template="chat", tokenizer=chat).template == "chat"
    data = parsed(template="lightning_abkd.data.alpaca_prompt", test_file={"x": file}, validation_file=file)
    assert data.template is alpaca_prompt
    assert parsed(tokenizer={"class_path": "lightning_abkd.data.byte_tokenizer"}).padding == 0
    assert (data.set_names("test"), data.set_names("validation")) == (["x"], [])
