import pytest
import torch

from lightning_abkd.functional import (
    alpha_divergence,
    beta_divergence,
    forward_kl,
    hellinger,
    reverse_kl,
    symmetric_kl,
)
from tests._asserts import assert_divergence, log_probabilities


@pytest.mark.parametrize("pointwise", [forward_kl, reverse_kl, symmetric_kl, hellinger])
def test_is_a_divergence(pointwise):
    assert_divergence(pointwise)


def test_forward_kl_is_infinite_where_the_student_excludes_a_class():
    log_p, log_q = torch.tensor([0.6, 0.3, 0.1]).log(), torch.tensor([0.5, 0.5, 0.0]).log()
    assert forward_kl(log_p, log_q).isposinf()


def test_kullback_leibler_divergences_are_textbook():
    log_p, log_q = log_probabilities(4, 9), log_probabilities(4, 9, seed=1)
    forward, reverse = (log_p.exp() * (log_p - log_q)).sum(-1), (log_q.exp() * (log_q - log_p)).sum(-1)
    torch.testing.assert_close(forward_kl(log_p, log_q), forward)
    torch.testing.assert_close(reverse_kl(log_p, log_q), reverse)
    torch.testing.assert_close(symmetric_kl(log_p, log_q, 0.3), 0.7 * forward + 0.3 * reverse)


def test_hellinger_is_textbook():
    log_p, log_q = log_probabilities(4, 9), log_probabilities(4, 9, seed=1)
    expected = 0.5 * (log_p.exp().sqrt() - log_q.exp().sqrt()).square().sum(-1)
    torch.testing.assert_close(hellinger(log_p, log_q), expected)


def test_lines_end_in_the_kullback_leibler_divergences():
    log_p, log_q = log_probabilities(4, 9), log_probabilities(4, 9, seed=1)
    torch.testing.assert_close(alpha_divergence(log_p, log_q, 0.0), reverse_kl(log_p, log_q))
    torch.testing.assert_close(alpha_divergence(log_p, log_q, 1.0), forward_kl(log_p, log_q))
    torch.testing.assert_close(beta_divergence(log_p, log_q, 0.0), forward_kl(log_p, log_q))


@pytest.mark.parametrize("exponent", [-0.4, 0.3, 2.0])
def test_lines_are_textbook(exponent):
    log_p, log_q = log_probabilities(4, 9), log_probabilities(4, 9, seed=1)
    p, q, above = log_p.exp(), log_q.exp(), 1 + exponent
    amari = (1 - (p**exponent * q ** (1 - exponent)).sum(-1)) / (exponent * (1 - exponent))
    basu = (p**above / (exponent * above) - p * q**exponent / exponent + q**above / above).sum(-1)
    torch.testing.assert_close(alpha_divergence(log_p, log_q, exponent), amari)
    torch.testing.assert_close(beta_divergence(log_p, log_q, exponent), basu)


def test_beta_divergence_at_one_is_half_the_squared_distance():
    log_p, log_q = log_probabilities(4, 9), log_probabilities(4, 9, seed=1)
    expected = 0.5 * (log_p.exp() - log_q.exp()).square().sum(-1)
    torch.testing.assert_close(beta_divergence(log_p, log_q, 1.0), expected)
