import pytest
import torch
from torch import nn
from transformers import GPT2LMHeadModel

from lightning_abkd.language.teachers._same_logits import check_same_logits
from lightning_abkd.language.teachers._separate_head import _parts_of
from tests.language._text import network


def check(net, inputs=None):
    parts = _parts_of(net)
    check_same_logits(net, parts.hidden, parts.head(), inputs)


def variant(**methods):
    """A network of another class with the same weights."""
    net = network(0)
    net.__class__ = type("Variant", (GPT2LMHeadModel,), methods)
    return net


def dropping(self, **inputs):
    output = GPT2LMHeadModel.forward(self, **inputs)
    output.logits = nn.functional.dropout(output.logits, 0.5, self.training)
    return output


def shifting(self, **inputs):
    output = GPT2LMHeadModel.forward(self, **inputs)
    output.logits = output.logits + (inputs["input_ids"] == 9).unsqueeze(-1)
    return output


def test_what_happens_in_training_alone_is_found():
    check(variant(forward=dropping).requires_grad_(False))
    with pytest.raises(ValueError, match="Variant computes more than its output layer"):
        check(variant(forward=dropping))


def test_what_depends_on_tokens_is_found_on_those_of_the_batch():
    check(variant(forward=shifting))
    with pytest.raises(ValueError, match="Variant computes more than its output layer"):
        check(variant(forward=shifting), {"input_ids": torch.tensor([[3, 9]])})


def test_dropout_inside_the_backbone_is_drawn_alike():
    check(network(0, resid_pdrop=0.5, embd_pdrop=0.5))


def test_modes_buffers_and_random_state_are_kept():
    net = network(0)
    net.transformer.ln_f = nn.BatchNorm1d(2)
    net.transformer.ln_f.forward = lambda x: (net.transformer.ln_f.num_batches_tracked.add_(1), x)[1]
    before = torch.random.get_rng_state()
    check(net.eval())
    assert not net.transformer.ln_f.training
    assert net.transformer.ln_f.num_batches_tracked == 0
    assert torch.equal(torch.random.get_rng_state(), before)
