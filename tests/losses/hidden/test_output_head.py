import pytest
import torch

from lightning_abkd.losses import OutputHead

HEADS = [{}, {"bias": torch.arange(4.0)}, {"scale": 0.5}, {"scale": 2.0, "softcap": 3.0, "bias": torch.ones(4)}]


def head(options):
    return OutputHead(torch.randn(4, 2), **options)


@pytest.mark.parametrize("options", HEADS)
def test_written_logits_are_the_logits(options):
    ours, hidden = head(options), torch.randn(3, 2)
    torch.testing.assert_close(ours.write(hidden, torch.full((3, 4), torch.nan)), ours.logits(hidden))


@pytest.mark.parametrize("options", HEADS)
def test_pulling_back_is_the_derivative_of_scale_and_softcap(options):
    ours, hidden, upstream = head(options), torch.randn(3, 2, requires_grad=True), torch.randn(3, 4)
    logits = ours.logits(hidden)
    expected = torch.autograd.grad(logits, hidden, upstream)[0]
    torch.testing.assert_close(ours.pull_back(upstream.clone(), logits.detach()) @ ours.weight, expected)


def test_logits_of_a_narrow_head_are_widened():
    ours = head({}).to(torch.bfloat16)
    wide = torch.empty(1, 4, dtype=torch.float32)
    assert ours.write(torch.ones(1, 2), wide).dtype == torch.float32
    assert ours.logits(torch.ones(1, 2)).dtype == torch.bfloat16


def test_cutting_leaves_the_first_rows():
    ours = OutputHead(torch.ones(4, 2), torch.arange(4.0)).cut(3)
    assert ours.logits(torch.ones(2)).tolist() == [2.0, 3.0, 4.0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scale": float("nan")}, "`scale` should be finite. Found `scale = nan`"),
        ({"softcap": 0.0}, "`softcap` should be finite and greater than 0. Found `softcap = 0.0`"),
        ({"softcap": float("inf")}, "`softcap` should be finite"),
        ({"bias": torch.ones(3)}, r"`bias` should have the shape \(V,\), \(4,\). Found \(3,\)"),
    ],
)
def test_bad_numbers_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        head(options)
    with pytest.raises(ValueError, match=r"`weight` should have the shape \(V, D\). Found \(4,\)"):
        OutputHead(torch.ones(4))
