import pytest
import torch

from lightning_abkd.language.teachers._counted_outputs import CountedOutputs
from lightning_abkd.models import lora
from tests.language._text import network
from tests.language._token_batches import BATCH

PADDED = BATCH | {"input_ids": BATCH["input_ids"].masked_fill(BATCH["attention_mask"] == 0, 384)}


def expected(net):
    return net(input_ids=BATCH["input_ids"], attention_mask=BATCH["attention_mask"]).logits[[0, 0, 0, 1], [1, 2, 3, 1]]


def test_outputs_are_those_of_the_counted_tokens_whatever_pads_them():
    net = network(1).eval()
    outputs = CountedOutputs(net, 380, needs_hidden=True)
    assert (outputs.classes, outputs.features) == (380, 8)
    torch.testing.assert_close(outputs.logits(PADDED), expected(net)[:, :380])
    torch.testing.assert_close(outputs.head().logits(outputs.hidden(PADDED)), expected(net)[:, :380])


def test_a_network_that_is_not_taken_apart_gives_logits_alone():
    net = lora(network(1, tie_word_embeddings=False), rank=2, target_modules=["lm_head"]).eval()
    torch.nn.init.ones_(net.base_model.model.lm_head.lora_B["default"].weight)
    outputs = CountedOutputs(net, None, needs_hidden=False)
    assert outputs.classes == 384
    torch.testing.assert_close(outputs.logits(PADDED), expected(net))
    with pytest.raises(ValueError, match="Found a teacher that cannot be taken apart"):
        outputs.hidden(PADDED)
    with pytest.raises(ValueError, match="Hidden states cannot stand for the teacher: .* Use the kind 'top_k'"):
        CountedOutputs(net, None, needs_hidden=True)
