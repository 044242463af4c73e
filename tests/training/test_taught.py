import torch

from tests.training._training import module


def test_the_teacher_follows_to_the_device():
    net = module()
    net.to("meta")
    assert {parameter.device.type for parameter in net.teacher.parameters()} == {"meta"}


def test_a_module_without_a_trainer_may_be_configured_and_keeps_its_teacher():
    net = module()
    before = [parameter.clone() for parameter in net.teacher.parameters()]
    net.configure_model()
    assert all(map(torch.equal, net.teacher.parameters(), before))
