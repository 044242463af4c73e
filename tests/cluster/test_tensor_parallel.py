"""Networks whose output layers are split over ranks by torch's tensor parallelism: numbers are those of one process."""

import pytest
import torch
from lightning import Callback, Trainer
from lightning.pytorch.strategies import ModelParallelStrategy
from torch import nn
from torch.utils.data import DataLoader

from lightning_abkd.losses import DKD, AlphaBetaDivergence, JensenShannon
from lightning_abkd.models import causal_lm_from_config
from lightning_abkd.modules import DistillationModule, LanguageDistillationModule
from tests._processes import on_ranks
from tests._shards import error, whole

# Which layer is split, along which dimension of its output, and whether the teacher's is, too.
SPLIT = {
    "language": ("lm_head", -1, True),
    "from logits": ("lm_head", -1, True),
    "a whole teacher": ("lm_head", -1, False),
    "split tokens": ("lm_head", 1, True),
    "padded vocabularies": ("lm_head", -1, True),
    "classes": ("2", -1, True),
}


class Parallel:
    """Splits output layers as a user does, in `configure_model`."""

    split = None

    def configure_model(self):
        if self.device_mesh is not None and self.split is not None:
            layer, dim, of_teacher = self.split
            for network in (self.student, self.teacher)[: 1 + of_teacher]:
                parallelize(network, layer, dim, self.device_mesh["tensor_parallel"])
        super().configure_model()


def parallelize(network, layer, dim, mesh):
    from torch.distributed.tensor import Shard
    from torch.distributed.tensor.parallel import ColwiseParallel, parallelize_module

    parallelize_module(network, mesh, {layer: ColwiseParallel(output_layouts=Shard(dim), use_local_output=False)})


class Language(Parallel, LanguageDistillationModule):
    pass


class Classes(Parallel, DistillationModule):
    pass


class Recorder(Callback):
    def __init__(self):
        self.losses = []

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        self.losses.append(float(outputs["loss"]))


def sgd(parameters):
    return torch.optim.SGD(parameters, lr=0.5)


def language(teacher_ids, **options):
    sizes = {"n_layer": 1, "n_head": 2, "n_positions": 8, "tie_word_embeddings": False, "bos_token_id": 0}
    sizes |= {"eos_token_id": 0, "attn_pdrop": 0.0, "embd_pdrop": 0.0, "resid_pdrop": 0.0}
    teacher = causal_lm_from_config("gpt2", sizes | {"n_embd": 8, "vocab_size": teacher_ids})
    student = causal_lm_from_config("gpt2", sizes | {"n_embd": 4, "vocab_size": 13})
    divergence = AlphaBetaDivergence(0.2, 0.7, temperature=2.0, scale_by_temperature=True)
    return Language(teacher, student, divergence, optimizer=sgd, **options), token_batches()


def token_batches():
    batches = []
    for number in range(3):
        ids = torch.randint(0, 11, (2, 8), generator=torch.Generator().manual_seed(number))
        labels = ids.clone()
        labels[0, : 3 + number] = -100
        batches.append({"input_ids": ids, "labels": labels, "attention_mask": torch.ones_like(ids)})
    return batches


def classes(divergence):
    teacher, student = (nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, 7)) for width in (8, 3))
    inputs = [torch.randn(4, 4, generator=torch.Generator().manual_seed(number)) for number in range(3)]
    module = Classes(teacher, student, divergence, optimizer=sgd)
    return module, [(x, torch.tensor([0, 6, -100, number])) for number, x in enumerate(inputs)]


def build(case):
    torch.manual_seed(0)
    if case == "classes":
        return classes(JensenShannon())
    if case == "padded vocabularies":
        return language(16, vocabulary=11)
    return language(13, fused_head=False if case in ("from logits", "split tokens") else None)


def trainer(ranks, **options):
    parallel = ModelParallelStrategy(1, ranks, save_distributed_checkpoint=False)
    return Trainer(
        accelerator="cpu",
        devices=ranks,
        strategy=parallel if ranks > 1 else "auto",
        max_epochs=1,
        use_distributed_sampler=False,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        **options,
    )


def fit(case, ranks):
    """Losses of all steps, what was logged, and the student's weights."""
    module, batches = build(case)
    module.split = SPLIT[case]
    recorder = Recorder()
    fitted = trainer(ranks, accumulate_grad_batches=2, callbacks=[recorder], log_every_n_steps=1)
    loader = DataLoader(batches, batch_size=None)
    fitted.fit(module, loader, loader)
    numbers = {name: value.double() for name, value in fitted.callback_metrics.items()}
    assert case == "classes" or (type(module._choice.path).__name__ == "FromLogits") == (module.fused_head is False)
    numbers |= {name: whole(weight.detach()).clone() for name, weight in module.student.named_parameters()}
    return numbers | {"losses": torch.tensor(recorder.losses)}


def refusal(ranks):
    module, batches = classes(DKD())
    module.split = SPLIT["classes"]
    with pytest.raises(ValueError, match="needs all classes of a row on one process") as error:
        trainer(ranks).fit(module, DataLoader([(x, labels.abs() % 7) for x, labels in batches], batch_size=None))
    return str(error.value)


def fit_all(ranks):
    torch.set_default_dtype(torch.float64)
    found = {case: fit(case, ranks) for case in SPLIT}
    return found | ({"refusal": refusal(ranks)} if ranks > 1 else {})


@pytest.fixture(scope="module")
def alone():
    return on_ranks(fit_all, 1, 1)[0]


@pytest.fixture(scope="module")
def split():
    return on_ranks(fit_all, 2, 2)


@pytest.mark.parametrize("case", SPLIT)
def test_losses_metrics_and_weights_are_those_of_one_process(alone, split, case):
    for found in split:
        assert found[case].keys() == alone[case].keys()
        errors = {name: error(value, alone[case][name]) for name, value in found[case].items()}
        assert max(errors.values()) < 1e-12, errors


def test_a_loss_that_needs_whole_rows_says_so(split):
    assert "Gather them first" in split[0]["refusal"]
