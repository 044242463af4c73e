"""An output layer that is more than its weight: training is that from logits, whoever changes the layer and when."""

import peft
import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import ModelPruning
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune
from torch.utils.data import DataLoader

from tests.language._text import language_module, network, weights
from tests.training._training import trainer

IDS = torch.randint(2, 384, (4, 8), generator=torch.Generator().manual_seed(0))
ROWS = [{"input_ids": row, "attention_mask": torch.ones_like(row), "labels": row} for row in IDS]


class Doubled(nn.Module):
    def forward(self, weight):
        return 2 * weight


class Scaled(nn.Linear):
    def forward(self, hidden):
        return 3 * super().forward(hidden)


def scaled(net):
    layer = Scaled(8, 384, bias=False)
    layer.weight = net.lm_head.weight
    net.set_output_embeddings(layer)


def hooked(net):
    net.register_forward_hook(lambda module, inputs, output: setattr(output, "logits", 3 * output.logits))


def slowed(net):
    net.lm_head.register_full_backward_hook(lambda module, inputs, outputs: (0.5 * inputs[0],))


def adapted(net, **options):
    return peft.get_peft_model(net, peft.LoraConfig(task_type="CAUSAL_LM", init_lora_weights=False, **options))


CHANGES = {
    "pruned": lambda net: prune.l1_unstructured(net.lm_head, "weight", amount=0.3),
    "weight norm": lambda net: parametrizations.weight_norm(net.lm_head),
    "parametrized": lambda net: parametrize.register_parametrization(net.lm_head, "weight", Doubled()),
    "own forward": scaled,
    "hook of the network": hooked,
    "backward hook": slowed,
    "adapter": lambda net: adapted(net, r=2, target_modules=["lm_head"]),
    "dora": lambda net: adapted(net, r=2, target_modules=["lm_head"], use_dora=True),
    "saved module": lambda net: adapted(net, r=2, fan_in_fan_out=True, modules_to_save=["lm_head"]),
}


def learnt(folder, fused, change, role="student", callbacks=(), **options):
    torch.manual_seed(0)
    net = network(2 if role == "student" else 1, tie_word_embeddings=False)
    changed = change(net)
    net = changed if isinstance(changed, peft.PeftModel) else net
    module = language_module(**{role: net}, fused_head=fused, **options)
    trainer(folder, max_steps=3, callbacks=list(callbacks)).fit(module, DataLoader(ROWS, 2))
    return module, weights(module)


@pytest.mark.parametrize(
    ("name", "role"), [*((name, "student") for name in CHANGES), ("pruned", "teacher"), ("adapter", "teacher")]
)
def test_training_is_that_from_logits(tmp_path, name, role):
    module, fused = learnt(tmp_path, None, CHANGES[name], role)
    _, whole = learnt(tmp_path, False, CHANGES[name], role)
    torch.testing.assert_close(fused, whole, rtol=1e-5, atol=1e-6)
    assert [text for text in module._log_once.messages if text.startswith("Logits are computed in full: ")]


def test_asking_for_hidden_states_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"\(L1Unstructured\). Parameter `fused_head` should be None or False"):
        learnt(tmp_path, True, CHANGES["pruned"])


class Pruning(Callback):
    """Prunes in the middle of an epoch."""

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.global_step == 1:
            prune.l1_unstructured(pl_module.student.lm_head, "weight", amount=0.5)


def lightning_pruning():
    # At the end of each epoch, and all weights: tied ones too.
    return ModelPruning("l1_unstructured", amount=0.5, use_global_unstructured=True)


@pytest.mark.parametrize("build", [Pruning, lightning_pruning])
def test_pruning_in_the_middle_of_a_run_is_that_from_logits(tmp_path, build):
    fused, whole = (learnt(tmp_path, way, lambda net: None, callbacks=[build()])[1] for way in (None, False))
    torch.testing.assert_close(fused, whole, rtol=1e-5, atol=1e-6)


def pruned_embedding(net):
    prune.l1_unstructured(net.transformer.wte, "weight", amount=0.5)


def parametrized_embedding(net):
    parametrize.register_parametrization(net.transformer.wte, "weight", Doubled())


@pytest.mark.parametrize("change", [lambda net: None, pruned_embedding, parametrized_embedding])
def test_tied_weights_stay_tied_and_get_both_gradients(tmp_path, change):
    results = []
    for fused in (True, False):
        net = network(2)
        change(net)
        module = language_module(student=net, fused_head=fused)
        trainer(tmp_path, max_steps=2).fit(module, DataLoader(ROWS, 2))
        results.append(weights(module))
        assert any(net.lm_head.weight is parameter for parameter in net.transformer.parameters())
    torch.testing.assert_close(*results, rtol=1e-5, atol=1e-6)
