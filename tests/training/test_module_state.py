import pytest
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging, ModelCheckpoint
from torch import nn
from torch.optim.swa_utils import AveragedModel

from lightning_abkd.losses import AlphaBetaDivergence, ForwardKL
from lightning_abkd.models import load_weights
from lightning_abkd.modules import DistillationModule
from tests.training._training import loader, module, network, trainer

NAMES = [f"student.{name}" for name in network().state_dict()]
WRAPS = {"plain": lambda net: net, "compiled": torch.compile, "parallel": nn.DataParallel, "averaged": AveragedModel}


def written(model, folder):
    folder.mkdir(exist_ok=True)
    run = trainer(folder, max_epochs=1, enable_checkpointing=True, callbacks=[ModelCheckpoint(folder, save_last=True)])
    run.strategy.connect(model)
    run.save_checkpoint(folder / "last.ckpt")
    return folder / "last.ckpt"


@pytest.mark.parametrize("wrap", WRAPS.values(), ids=WRAPS.keys())
def test_a_wrapped_student_is_saved_by_its_own_names(wrap):
    names = list(module(student=wrap(network(3))).state_dict())
    assert [name for name in names if name.startswith("student.") and "n_averaged" not in name] == NAMES


@pytest.mark.parametrize("wrapped", WRAPS.values(), ids=WRAPS.keys())
@pytest.mark.parametrize("reading", WRAPS.values(), ids=WRAPS.keys())
def test_a_state_loads_whatever_wraps_the_student(wrapped, reading):
    saved = module(student=wrapped(network(3)))
    loaded = module(student=reading(network(4)))
    loaded.load_state_dict(saved.state_dict())
    for first, second in zip(loaded.student.parameters(), saved.student.parameters(), strict=True):
        torch.testing.assert_close(first, second, rtol=0, atol=0)


def test_a_state_with_names_of_wrappers_still_loads():
    state = module().state_dict()
    old = {name.replace("student.", "student._orig_mod.module."): value for name, value in state.items()}
    (loaded := module(student=network(4))).load_state_dict(old)
    torch.testing.assert_close(loaded.state_dict(), state)


def test_wrapped_parts_of_a_student_have_their_own_names():
    student = nn.Sequential(torch.compile(nn.Linear(5, 4)), nn.Linear(4, 7))
    assert list(module(student=student).state_dict())[:2] == ["student.0.weight", "student.0.bias"]


class Honest(nn.Module):
    def __init__(self):
        super().__init__()
        self.module = nn.Linear(5, 7)
        self.weight = nn.Parameter(torch.ones(2))
        self.register_buffer("n_averaged", torch.tensor(3))

    def forward(self, x):
        return self.module(x)


def test_an_honest_module_keeps_its_name():
    saved = module(student=Honest())
    assert {"student.module.weight", "student.weight", "student.n_averaged"} <= saved.state_dict().keys()
    (loaded := module(student=Honest())).load_state_dict(saved.state_dict())
    torch.testing.assert_close(loaded.state_dict(), saved.state_dict())


def test_the_default_divergence_is_restored_without_a_teacher(tmp_path):
    saved = DistillationModule(network(1), network(2))
    saved.divergence.alpha.fill_(0.25)
    path = written(saved, tmp_path)
    for strict in (True, False):
        loaded = DistillationModule.load_from_checkpoint(path, student=network(5), strict=strict)
        assert isinstance(loaded.divergence, AlphaBetaDivergence)
        torch.testing.assert_close(loaded.state_dict(), saved.state_dict(), rtol=0, atol=0)


def test_the_state_of_another_divergence_is_left_out_and_it_is_said(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr("lightning_abkd.training._module_state.rank_zero_info", said.append)
    path = written(module(divergence=ForwardKL(temperature=3.0)), tmp_path)
    names = {name for name in torch.load(path)["state_dict"] if "divergence" in name}
    loaded = DistillationModule.load_from_checkpoint(path, student=network(5))
    if names == {f"divergence.{name}" for name in AlphaBetaDivergence().state_dict()}:
        assert loaded.divergence.temperature == 3.0
    else:
        assert loaded.divergence is None
        assert "Left out the state of the checkpoint's divergence (divergence.temperature)" in said[0]
    assert DistillationModule.load_from_checkpoint(path, student=network(5), divergence=ForwardKL()).divergence


def test_a_fit_without_a_divergence_refuses_the_state_of_one(tmp_path):
    path = written(module(), tmp_path)
    with pytest.raises(ValueError, match=r"The checkpoint .*last.ckpt should be of this .* unexpected in the file"):
        trainer(tmp_path).fit(DistillationModule(student=network(2)), loader(), ckpt_path=path)


def test_a_checkpoint_of_another_network_is_refused_in_one_line(tmp_path):
    path = written(module(student=nn.Linear(5, 7)), tmp_path)
    with pytest.raises(ValueError, match=r"with the student Sequential. Found 8 missing") as caught:
        DistillationModule.load_from_checkpoint(path, student=network(2), divergence=AlphaBetaDivergence())
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match=r"of another shape \(student.0.weight \(8, 5\) in the file"):
        module(student=nn.Sequential(nn.Linear(4, 8))).load_state_dict(module().state_dict(), strict=False)


def test_nothing_is_loaded_from_a_mismatch():
    loaded, before = module(student=nn.Sequential(nn.Linear(5, 8))), network(2)
    loaded.student[0].load_state_dict(before[0].state_dict())
    with pytest.raises(ValueError, match="unexpected"):
        loaded.load_state_dict(module(student=network(9)).state_dict())
    torch.testing.assert_close(loaded.student[0].weight, before[0].weight)


def test_a_name_of_tied_weights_may_be_absent():
    def tied():
        net = nn.Sequential(nn.Linear(5, 5), nn.Linear(5, 5), nn.Linear(5, 7))
        net[1].weight = net[0].weight
        return module(student=net)

    state = tied().state_dict()
    del state["student.1.weight"]
    (loaded := tied()).load_state_dict(state)
    torch.testing.assert_close(loaded.student[1].weight, state["student.0.weight"])


def test_an_average_of_a_compiled_student_resumes(tmp_path):
    checkpoints = ModelCheckpoint(tmp_path, save_last=True)
    options = {"callbacks": [EMAWeightAveraging(decay=0.5), checkpoints], "enable_checkpointing": True}
    model = module(student=torch.compile(network(2), backend="eager"))
    trainer(tmp_path, max_epochs=1, **options).fit(model, loader())
    average = load_weights(network(5), path := tmp_path / "last.ckpt")
    assert not torch.equal(load_weights(network(5), path, prefix="current_model_state")[0].weight, average[0].weight)
    again = trainer(tmp_path, max_epochs=2, **options)
    again.fit(module(student=network(7)), loader(), ckpt_path=path)
    assert again.global_step == 8
