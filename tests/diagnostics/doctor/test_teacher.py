import torch
from torch import nn

from lightning_abkd.diagnostics.doctor._teacher import frozen, mode, place, two_networks, watched_modes
from tests.diagnostics.doctor._patients import Sorter, module, patient


def test_a_teacher_that_would_be_trained_is_red():
    model = module()
    assert not frozen(patient(model)).is_red
    model.teacher.weight.requires_grad_(True)
    assert frozen(patient(model)).text == "Teacher not frozen: 1 of its tensors would be trained, such as weight."


def test_a_teacher_in_the_optimizer_is_red():
    model = module()
    examined = patient(model)
    examined.trainer.strategy._optimizers = [torch.optim.SGD(model.teacher.parameters(), 0.1)]
    assert frozen(examined).is_red


def test_one_object_is_red_and_shared_features_are_not():
    network = nn.Linear(4, 3)
    assert two_networks(network, network).text.startswith("Teacher = student")
    assert two_networks(nn.Sequential(network), network).is_red
    one, other = nn.Linear(4, 3), nn.Linear(4, 3)
    one.register_buffer("names", torch.ones(2))
    other.names = one.names
    assert not two_networks(other, one).is_red


def test_shared_running_statistics_are_red():
    norm = nn.BatchNorm1d(4, affine=False)
    assert "share 0.running_mean" in two_networks(nn.Sequential(norm, nn.Linear(4, 3)), norm).text


def test_parts_in_train_mode_are_seen_when_they_run():
    network = nn.Sequential(nn.Dropout(), nn.Linear(4, 3)).eval()
    found = set()
    with watched_modes(network, found):
        network(torch.zeros(1, 4))
        network[0].train()
        network(torch.zeros(1, 4))
    network[1].train()(torch.zeros(1, 4))
    assert found == {"0"}


def test_a_teacher_that_draws_is_red():
    class Draws(Sorter):
        def forward(self, inputs):
            return super().forward(inputs + torch.randn_like(inputs))

    assert "another answer the second time" in mode(patient(module(teacher=Draws())), set()).text


def test_a_teacher_that_looks_at_the_batch_is_red():
    class Centres(Sorter):
        def forward(self, inputs):
            return super().forward(inputs - inputs.mean(0))

    assert "depends on the other samples" in mode(patient(module(teacher=Centres())), set()).text


def test_a_pass_that_changes_a_buffer_is_red():
    class Counts(Sorter):
        def __init__(self):
            super().__init__()
            self.register_buffer("count", torch.zeros(()))

        def forward(self, inputs):
            self.count += 1
            return super().forward(inputs)

    assert "a pass changes its buffer count" in mode(patient(module(teacher=Counts())), set()).text


def test_a_sound_teacher_is_green_and_a_missing_one_not_checked():
    assert mode(patient(), set()).state == "green"
    alone = patient(module(teacher=None, divergence=None))
    assert {check(alone).state for check in (frozen, place)} == {mode(alone, set()).state} == {"not checked"}


def test_nan_of_the_teacher_is_red():
    model = module()
    model.teacher.weight.data.fill_(torch.nan)
    assert "contain NaN" in place(patient(model)).text
    assert place(patient(module(teacher_dtype="bfloat16"))).text == "bfloat16 on cpu; trainer 32-true"
