"""Batches of tokens as tokenizers and collators of transformers write them, and those that are none."""

import pytest
import torch
from torch.utils.data import DataLoader
from transformers import BatchEncoding, DataCollatorForSeq2Seq, DataCollatorWithPadding

from lightning_abkd.data import byte_tokenizer
from tests.language._text import language_module, network, weights
from tests.training._training import trainer

IDS = torch.randint(3, 384, (4, 8), generator=torch.Generator().manual_seed(0))
LABELS = torch.where(torch.arange(8) < torch.tensor([[2], [5], [1], [7]]), -100, IDS)
MASK = torch.ones_like(IDS)


def learnt(folder, batches, **options):
    module = language_module(**options)
    trainer(folder, max_epochs=1).fit(module, DataLoader(batches, batch_size=None))
    return weights(module)


@pytest.mark.parametrize("fused", [True, False])
def test_every_dtype_of_labels_and_masks_trains_alike(tmp_path, fused):
    usual = learnt(tmp_path, [{"input_ids": IDS, "labels": LABELS, "attention_mask": MASK}], fused_head=fused)
    for dtype, mask in ((torch.int32, torch.bool), (torch.int16, torch.float32)):
        entries = {"input_ids": IDS.to(dtype), "labels": LABELS.to(dtype), "attention_mask": MASK.to(mask)}
        assert torch.equal(learnt(tmp_path, [BatchEncoding(entries)], fused_head=fused), usual)


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("side", ["right", "left"])
def test_an_added_padding_token_beyond_the_embedding_trains_as_any_other(tmp_path, fused, side):
    usual, added = byte_tokenizer(), byte_tokenizer()
    added.add_special_tokens({"pad_token": "[PAD]"})
    assert added.pad_token_id == 384
    rows = [{"input_ids": IDS[i, : 5 + i].tolist(), "labels": LABELS[i, : 5 + i].tolist()} for i in (0, 2, 3)]
    results = []
    for tokenizer in (usual, added):
        tokenizer.padding_side = side
        results.append(learnt(tmp_path, [DataCollatorForSeq2Seq(tokenizer)(rows)], fused_head=fused))
    assert torch.equal(*results)


@pytest.mark.parametrize("fused", [True, False])
def test_without_labels_the_teacher_alone_teaches_every_token(tmp_path, fused):
    batch = DataCollatorWithPadding(byte_tokenizer())([{"input_ids": row.tolist()} for row in IDS])
    options = {"task_weight": 0.0, "fused_head": fused}
    labelled = learnt(tmp_path, [{**batch, "labels": IDS}], **options)
    assert torch.equal(learnt(tmp_path, [batch], **options), labelled)
    with pytest.raises(ValueError, match="Found only `input_ids`, `attention_mask`. Labels are the token ids"):
        learnt(tmp_path, [batch], fused_head=fused)


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ([IDS, LABELS], r"should be a mapping .* Found a list of 2 \(a tensor of shape \(4, 8\)"),
        (IDS, r"should be a mapping .* Found a tensor of shape \(4, 8\)"),
        (
            {"input_ids": IDS + 384, "labels": LABELS},
            r"should lie between 0 and 383.* Found id \d+ in `input_ids`",
        ),
        ({"input_ids": IDS.repeat(1, 9), "labels": LABELS.repeat(1, 9)}, r"at most 64 tokens.* Found .* \(4, 72\)"),
        ({"input_ids": IDS, "labels": LABELS[:, 1:]}, r"`labels` .* should have the shape .* Found \(4, 7\)"),
        ({"input_ids": IDS, "labels": LABELS + 400}, "Labels should lie between 0 and 383.* Found labels from"),
    ],
)
def test_batches_of_another_form_are_described(tmp_path, batch, message):
    for stage in ("fit", "validate"):
        with pytest.raises((TypeError, ValueError), match=message):
            getattr(trainer(tmp_path), stage)(language_module(), DataLoader([batch], batch_size=None))


def test_a_divergence_without_its_teacher_is_an_error(tmp_path):
    for fused in (None, False):
        with pytest.raises(ValueError, match="asks for the signal `teacher_logits`"):
            learnt(tmp_path, [{"input_ids": IDS, "labels": LABELS}], teacher=None, fused_head=fused)


def test_responses_are_padded_with_an_id_that_the_network_has(tmp_path):
    module = language_module(teacher=None, divergence=None, student=network(2, pad_token_id=None))
    module.student.config.pad_token_id = 384
    (responses,) = trainer(tmp_path).predict(module, DataLoader([{"input_ids": IDS}], batch_size=None))
    assert len(responses.ids) == 4
