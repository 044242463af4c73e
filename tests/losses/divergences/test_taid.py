import pytest
import torch

from lightning_abkd.losses import TAID, ForwardKL
from tests._asserts import logits
from tests._vectors import METHODS, logits_of

CASE = METHODS["TAID"]


def test_loss_and_target_follow_the_official_trace():
    student, teacher = logits_of(CASE)
    mask, loss = torch.tensor(CASE["inputs"]["label"]) != -100, TAID(total_steps=10)
    for line in CASE["expected"]["trace"]:
        logits = student * (1 + 0.1 * line["step"])
        t = loss.t.double()
        target = ((1 - t) * logits + t * teacher).log_softmax(-1)
        entropy = -(target.exp() * target).sum(-1)[mask].mean()
        # The official value is the cross-entropy from the target; t is a float32 buffer.
        value = loss(logits, teacher, mask)
        assert (value + entropy).item() == pytest.approx(line["loss_CE_form"], rel=1e-6)
        assert loss.t.item() == pytest.approx(line["t_after"], rel=1e-6)


def test_evaluation_does_not_move_the_target():
    loss = TAID(total_steps=10).eval()
    for _ in range(3):
        loss(logits(2, 5), logits(2, 5, seed=1))
    assert loss.t == torch.tensor(0.4)
    assert loss.batches == 0


def test_state_continues_from_a_checkpoint():
    def train(loss, steps):
        return [loss(logits(2, 5, seed=i), logits(2, 5, seed=9)) and loss.t.item() for i in steps]

    whole, first, second = TAID(10), TAID(10), TAID(10)
    expected = train(whole, range(6))
    train(first, range(3))
    second.load_state_dict(first.state_dict())
    assert train(second, range(3, 6)) == expected[3:]


def test_at_the_end_it_is_forward_kl():
    student, teacher = logits(4, 9).float(), logits(4, 9, seed=1).float()
    torch.testing.assert_close(TAID(10, start=1.0)(student, teacher), ForwardKL()(student, teacher))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"total_steps": 0}, "`total_steps` should be finite and greater than 0"),
        ({"total_steps": 5, "start": 0.9, "end": 0.5}, "Found `start = 0.9`, `end = 0.5`"),
        ({"total_steps": 5, "momentum": 1.0}, r"`momentum` should lie in \[0, 1\)"),
        ({"total_steps": 5, "reduction": "none"}, "t follows one loss"),
    ],
)
def test_bad_parameters_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        TAID(**options)
