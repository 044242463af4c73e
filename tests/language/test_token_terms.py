import torch

from lightning_abkd.language._token_terms import token_cross_entropy, token_metrics

LABELS = torch.tensor([[2, -100], [0, 1]])


def test_cross_entropy_is_the_mean_of_the_counted_tokens():
    logits = torch.randn(2, 2, 3)
    expected = -logits.log_softmax(-1)[[0, 1, 1], [0, 0, 1], [2, 0, 1]].mean()
    torch.testing.assert_close(token_cross_entropy(logits, LABELS), expected)


def test_without_counted_tokens_it_is_a_connected_zero():
    logits = torch.randn(2, 2, 3, requires_grad=True)
    loss = token_cross_entropy(logits, torch.full_like(LABELS, -100))
    loss.backward()
    assert loss == 0
    assert not logits.grad.any()


def test_half_precision_is_widened():
    assert token_cross_entropy(torch.zeros(2, 2, 3, dtype=torch.bfloat16), LABELS).dtype == torch.float32


def test_what_compares_with_a_teacher_needs_one():
    assert set(token_metrics(True)) - set(token_metrics(False)) == {
        "agreement",
        "teacher_entropy",
        "teacher_perplexity",
    }
