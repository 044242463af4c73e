import pytest
import torch
from lightning.pytorch import LightningDataModule
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from safetensors.torch import load_file
from torch.utils.data import DataLoader
from transformers import AutoModelForCausalLM, AutoTokenizer

from lightning_abkd.callbacks import SavePretrained
from lightning_abkd.data import byte_tokenizer
from lightning_abkd.models import causal_lm_from_config, lora
from lightning_abkd.modules import LanguageDistillationModule
from tests.training._training import loader, module as classifier, trainer

SIZES = {"n_layer": 1, "n_embd": 8, "n_head": 2, "n_positions": 16, "vocab_size": 384}
IDS = torch.arange(8).reshape(1, 8)


def network():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return causal_lm_from_config("gpt2", SIZES | {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0})


def module(student):
    return LanguageDistillationModule(student=student, optimizer=lambda p: torch.optim.SGD(p, lr=1.0))


class Data(LightningDataModule):
    tokenizer = byte_tokenizer()

    def train_dataloader(self):
        return DataLoader([{"input_ids": IDS[0], "labels": IDS[0]}] * 2)


class Remember(Callback):
    def __init__(self):
        self.logits = []

    def on_train_batch_end(self, trainer, pl_module, *_):
        self.logits.append(pl_module.student.eval()(IDS).logits.detach())


def fit(folder, student, **options):
    remember = Remember()
    save = SavePretrained(str(folder / "student"), **options.pop("save", {}))
    callbacks = [remember, save, *options.pop("callbacks", [])]
    trainer(folder, max_epochs=1, callbacks=callbacks, **options).fit(module(student), datamodule=Data())
    return remember.logits


def loaded(folder):
    return AutoModelForCausalLM.from_pretrained(folder / "student")(IDS).logits


def test_transformers_loads_student_and_tokenizer(tmp_path):
    logits = fit(tmp_path, network())
    torch.testing.assert_close(loaded(tmp_path), logits[-1])
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "student")
    assert tokenizer.encode("häuser") == byte_tokenizer().encode("häuser")
    assert tokenizer.decode(tokenizer.encode("häuser"), skip_special_tokens=True) == "häuser"


def test_adapters_are_merged_into_a_copy(tmp_path):
    student = lora(network(), rank=2)
    logits = fit(tmp_path, student)
    torch.testing.assert_close(loaded(tmp_path), logits[-1])
    assert not torch.allclose(logits[-1], network().eval()(IDS).logits)
    torch.testing.assert_close(student.eval()(IDS).logits, logits[-1])


def test_adapters_alone_are_written_on_demand(tmp_path):
    logits = fit(tmp_path, lora(network(), rank=2), save={"merge_adapters": False})
    assert not (tmp_path / "student" / "model.safetensors").exists()
    again = lora(network(), path=str(tmp_path / "student")).eval()
    torch.testing.assert_close(again(IDS).logits, logits[-1])


@pytest.mark.parametrize("adapt", [lambda net: net, lora])
def test_best_weights_are_those_of_the_checkpoint(tmp_path, adapt):
    # The loss falls, so that its largest value is the best of this checkpoint: the first step.
    best = ModelCheckpoint(tmp_path, monitor="train/loss", mode="max", every_n_train_steps=1)
    options = {"callbacks": [best], "enable_checkpointing": True, "save": {"checkpoint": "best"}}
    student = adapt(network())
    logits = fit(tmp_path, student, **options)
    torch.testing.assert_close(loaded(tmp_path), logits[0])
    torch.testing.assert_close(student.eval()(IDS).logits, logits[1])


def test_last_weights_stand_in_for_a_missing_checkpoint_and_it_is_logged(tmp_path, monkeypatch):
    logged = []
    monkeypatch.setattr("lightning_abkd.language.callbacks._save_pretrained.rank_zero_info", logged.append)
    logits = fit(tmp_path, network(), save={"checkpoint": "best"})
    torch.testing.assert_close(loaded(tmp_path), logits[-1])
    assert logged[0] == "SavePretrained found no best checkpoint and takes the last weights."


def whole(student):
    return torch.compile(student, backend="eager")


def part(student):
    student.transformer.h[0].mlp = torch.compile(student.transformer.h[0].mlp, backend="eager")
    return student


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
@pytest.mark.parametrize("compiled", [whole, part])
@pytest.mark.parametrize("checkpoint", ["last", "best"])
def test_a_compiled_student_is_written_by_its_own_names(tmp_path, compiled, checkpoint):
    best = ModelCheckpoint(tmp_path, every_n_train_steps=2)
    options = {"callbacks": [best], "enable_checkpointing": True, "save": {"checkpoint": checkpoint}}
    logits = fit(tmp_path, compiled(network()), **options)
    torch.testing.assert_close(loaded(tmp_path), logits[-1])
    weights = load_file(tmp_path / "student" / "model.safetensors")
    assert not [name for name in weights if "_orig_mod" in name]


class Failing(Callback):
    def on_train_batch_end(self, *_):
        raise KeyboardInterrupt


def test_an_interrupted_fit_writes_nothing(tmp_path):
    with pytest.raises(SystemExit):
        fit(tmp_path, network(), callbacks=[Failing()])
    assert not (tmp_path / "student").exists()


def test_a_trial_run_writes_nothing(tmp_path):
    fit(tmp_path, network(), fast_dev_run=True)
    assert not (tmp_path / "student").exists()


def test_a_student_that_cannot_be_written_is_an_error_before_training(tmp_path):
    run = trainer(tmp_path, callbacks=[SavePretrained(str(tmp_path / "student"))])
    with pytest.raises(TypeError, match="Found Sequential, which has no `save_pretrained`"):
        run.fit(classifier(), loader())
    assert run.global_step == 0


def test_unknown_checkpoint_is_an_error():
    with pytest.raises(ValueError, match="should be 'last' or 'best'. Found `checkpoint = 'first'`"):
        SavePretrained("folder", checkpoint="first")


def test_nothing_is_written_through_links_and_no_former_shard_stays(tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "student").mkdir()
    for name in ("config.json", "model.safetensors", "tokenizer_config.json"):
        (tmp_path / "student" / name).symlink_to(tmp_path / "outside" / name)
    (tmp_path / "student" / "model-00001-of-00002.safetensors").touch()
    (tmp_path / "student" / "notes.txt").touch()
    fit(tmp_path, network())
    names = {path.name for path in (tmp_path / "student").iterdir()}
    assert names >= {"config.json", "model.safetensors", "notes.txt"}
    assert "model-00001-of-00002.safetensors" not in names
    assert not any(path.is_symlink() for path in (tmp_path / "student").iterdir())
    assert list((tmp_path / "outside").iterdir()) == []
