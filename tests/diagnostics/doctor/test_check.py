import pytest
import torch
from lightning.pytorch import LightningModule
from torch import nn

from lightning_abkd.diagnostics import check
from tests.diagnostics.doctor._patients import CLASSES, INPUTS, loader, module, quiet


def found(model, data=None, **options):
    return {finding.name: finding for finding in check(model, data or loader(), quiet(**options))}


def test_a_sound_module_is_well_and_unchanged(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = module(student=nn.Sequential(nn.Linear(INPUTS, CLASSES), nn.BatchNorm1d(CLASSES)))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.get_rng_state()
    findings = check(model, loader())
    assert [finding for finding in findings if finding.is_red] == []
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(state, torch.get_rng_state())
    assert list(tmp_path.iterdir()) == []


def test_findings_are_in_the_order_of_the_table():
    names = list(found(module()))
    assert names.index("two networks") < names.index("teacher accuracy") < names.index("learning rate")


def test_an_error_of_the_first_step_is_a_red_line():
    model = module(student=nn.Linear(INPUTS + 1, CLASSES))
    assert found(model)["first step"].is_red
    assert found(model)["everything else"].state == "not checked"


def test_labels_out_of_range_have_one_line():
    inputs, labels = torch.randn(8, INPUTS), torch.arange(8) % 4
    data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(inputs, labels), 8)
    assert found(module(), data)["label range"].text.startswith("Labels from 0 to 3, but the student has")


def test_no_batch_is_a_red_line():
    assert found(module(), limit_train_batches=0)["first step"].text.startswith("No training batch")


def test_a_check_that_fails_itself_was_not_made(monkeypatch):
    def broken(patient):
        raise ValueError("no such thing")

    monkeypatch.setattr("lightning_abkd.diagnostics.doctor._check.label_range", broken)
    assert found(module())["label range"].text == "it stopped with: no such thing"


def test_other_modules_are_not_checked():
    assert [finding.state for finding in check(LightningModule())] == ["not checked"]


def test_a_student_that_no_gradient_reaches_is_red():
    class Detached(nn.Linear):
        @torch.no_grad()
        def forward(self, inputs):
            return super().forward(inputs)

    assert found(module(student=Detached(INPUTS, CLASSES)))["parameters trained"].text.startswith("Frozen student: no")


@pytest.mark.filterwarnings("ignore:Found 1 module.* in eval mode")
def test_a_teacher_that_the_module_keeps_is_in_its_checkpoint():
    model = module()
    model.guide = model.teacher
    assert found(model)["teacher bytes in a checkpoint"].text.startswith("Teacher in the checkpoint: 4 B")


@pytest.mark.parametrize("student", [nn.Linear(INPUTS, CLASSES).requires_grad_(False)])
def test_a_frozen_student_takes_no_step(student):
    assert "learning rate" not in found(module(student=student))
