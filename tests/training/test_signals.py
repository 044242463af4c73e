import gc
import weakref

import pytest
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from torchvision.models import resnet18

from lightning_abkd.callbacks import HyperparameterScheduler
from lightning_abkd.losses import CRD, ITRD, MLKD, DistillationLoss, ForwardKL, WeightedSum
from lightning_abkd.models import resnet8
from lightning_abkd.modules import DistillationModule
from lightning_abkd.schedules import Piecewise
from lightning_abkd.training._batches import views_of
from tests.training._training import CLASSES, INPUTS, loader, network, sgd, trainer

LABELS, INDEX = torch.tensor([0, 1, 2, 0]), torch.tensor([5, 0, 7, 9])
IMAGES, VECTORS = torch.linspace(-2, 2, 256).view(4, 1, 8, 8), torch.linspace(-2, 2, 4 * INPUTS).view(4, INPUTS)


class Distance(DistillationLoss):
    def forward(self, student_features, teacher_features):
        return (student_features - teacher_features).square().mean()


class Inner(nn.Module):
    """Counts its passes; its forward does or does not go through its features."""

    def __init__(self, through=True):
        super().__init__()
        self.body, self.head, self.through, self.passes = nn.Linear(INPUTS, 6), nn.Linear(6, CLASSES), through, 0

    def forward_features(self, x):
        self.passes += 1
        return self.body(x).relu()

    def forward(self, x):
        return self.head(self.forward_features(x) if self.through else self.body(x))


def small(seed=0):
    torch.manual_seed(seed)
    return resnet8(3, in_channels=1)


def module(student, teacher, divergence=None, **options):
    return DistillationModule(teacher, student, divergence or Distance(), optimizer=sgd, **options)


def contrasted(**options):
    torch.manual_seed(0)
    crd = CRD(n_data=16, student_dim=6, teacher_dim=6, dim=4, negatives=6)
    loss = WeightedSum({"kd": ForwardKL(), "crd": crd}, {"crd": 0.5})
    return module(Inner(), Inner(), loss, **options)


def indexed(size=8, batch_size=4):
    data = loader(size).dataset.tensors
    return DataLoader(TensorDataset(*data, torch.arange(size)), batch_size)


def test_own_features_come_from_the_one_pass_that_gives_logits():
    student, teacher = Inner(), Inner()
    signals = module(student, teacher).signals((VECTORS, LABELS))
    assert (student.passes, teacher.passes) == (1, 1)
    torch.testing.assert_close(student.head(signals["student_features"]), signals["student_logits"])
    assert not signals["teacher_features"].requires_grad


def test_a_submodules_map_is_averaged_over_its_positions():
    student, teacher = small(), small(1).eval()
    model = module(student, teacher, teacher_features="layer3.0").eval()
    signals = model.signals((IMAGES, LABELS))
    maps = teacher.layer3(teacher.layer2(teacher.layer1(torch.relu(teacher.bn1(teacher.conv1(IMAGES))))))
    torch.testing.assert_close(signals["teacher_features"], maps.mean((2, 3)))
    assert signals["student_features"].shape == (4, 64)


def test_tokens_are_averaged():
    class Tokens(Inner):
        def forward_features(self, x):
            return super().forward_features(x).unsqueeze(1) * torch.tensor([1.0, 3.0]).view(2, 1)

        def forward(self, x):
            return self.head(self.forward_features(x)[:, 0])

    inputs, student = torch.randn(4, INPUTS), Tokens()
    features = module(student, Inner()).signals((inputs, LABELS))["student_features"]
    torch.testing.assert_close(features, 2.0 * student.body(inputs).relu())


def test_torchvision_and_transformers_give_features_by_path():
    from transformers import ResNetConfig, ResNetForImageClassification

    config = ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], num_labels=3)
    student, teacher = resnet18(num_classes=3), ResNetForImageClassification(config)
    model = module(student, teacher, student_features="avgpool", teacher_features="resnet.pooler").eval()
    signals = model.signals((torch.randn(2, 3, 32, 32), LABELS[:2]))
    assert (signals["student_features"].shape, signals["teacher_features"].shape) == ((2, 512), (2, 16))
    torch.testing.assert_close(student.fc(signals["student_features"]), signals["student_logits"])


def test_features_are_taken_only_for_a_loss_that_asks():
    signals = module(Inner(), Inner(), ForwardKL()).signals((VECTORS, LABELS))
    assert not any(name.endswith("features") for name in signals)


@pytest.mark.parametrize("path", [None, "layer3"])
def test_nothing_stays_on_the_network(path):
    student = small()
    model = module(student, small(1), student_features=path)
    graph = weakref.ref(model.signals((IMAGES, LABELS))["student_features"])
    assert "forward_features" not in vars(student)
    assert not any(child._forward_hooks for child in student.modules())
    gc.collect()
    assert graph() is None


def test_features_train_under_weight_averaging(tmp_path):
    model = module(Inner(), Inner(), teacher_features="body")
    run = trainer(tmp_path, callbacks=[average := EMAWeightAveraging(decay=0.5)])
    before = run.validate(model, loader(), verbose=False)[0]["val/divergence"]
    run.fit(model, loader(), loader())
    assert average._average_model.module.teacher is model.teacher
    assert run.validate(model, loader(), verbose=False)[0]["val/divergence"] < before


def test_parameters_of_a_loss_train_and_are_saved(tmp_path):
    loss = ITRD(8, 8)
    before = loss.embed.weight.detach().clone()
    model = module(network(2), network(1), loss, student_features="2", teacher_features="2")
    trainer(tmp_path, accumulate_grad_batches=2).fit(model, loader())
    assert not torch.equal(loss.embed.weight, before)
    assert "divergence.embed.weight" in model.state_dict()


def test_terms_of_a_sum_are_logged_by_their_names(tmp_path):
    scheduler = HyperparameterScheduler(
        {"divergence.crd_weight": Piecewise([0.5, 0.25], [1]), "divergence.losses.kd.temperature": 2.0}
    )
    run = trainer(tmp_path, callbacks=[scheduler], accumulate_grad_batches=2)
    run.fit(model := contrasted(distillation_weight=2.0, task_weight=0.1), indexed(), indexed())
    logged = {name: float(value) for name, value in run.callback_metrics.items()}
    expected = 2.0 * (logged["train/kd"] + 0.25 * logged["train/crd"]) + 0.1 * logged["train/task_loss"]
    assert logged["train/loss"] == pytest.approx(expected)
    assert "val/kd" in logged
    assert "val/crd" not in logged
    assert "divergence.losses.crd.teacher_memory" in model.state_dict()


@pytest.mark.filterwarnings("ignore:.*does not have many workers.*")
def test_two_processes_share_the_memory_of_one(tmp_path):
    whole, parts = contrasted(), contrasted()
    trainer(tmp_path, max_epochs=3).fit(whole, indexed(batch_size=8))
    options = {"devices": 2, "strategy": "ddp_fork", "use_distributed_sampler": True, "max_epochs": 3}
    trainer(tmp_path, **options).fit(parts, indexed())
    torch.testing.assert_close(parts.divergence.state_dict(), whole.divergence.state_dict())


def test_index_is_a_signal_of_training_alone():
    assert torch.equal(views_of((IMAGES, LABELS, INDEX), training=True)[1]["index"], INDEX)
    assert list(views_of((IMAGES, LABELS, INDEX), training=False)[1]) == ["labels"]
    assert views_of(IMAGES, training=True) == ((IMAGES,), {})


def test_two_views_pass_both_networks():
    model = module(Inner(), Inner(), MLKD())
    signals = model.signals(([VECTORS, -VECTORS], LABELS))
    torch.testing.assert_close(signals["student_logits_strong"], model.student(-VECTORS))
    torch.testing.assert_close(signals["teacher_logits"], model.teacher(VECTORS))


def test_two_views_train_and_evaluate(tmp_path):
    pairs, plain = ([(x, LABELS)] * 2 for x in ([VECTORS, -VECTORS], VECTORS))
    run = trainer(tmp_path)
    run.fit(module(Inner(), Inner(), MLKD()), DataLoader(pairs, None), DataLoader(plain, None))
    assert "train/divergence" in run.callback_metrics
    assert "val/divergence" not in run.callback_metrics


def test_a_misspelt_path_lists_close_ones():
    with pytest.raises(ValueError, match=r"`student_features = 'layr3.0'`. Did you mean layer3.0"):
        module(small(), small(1), student_features="layr3.0")
    with pytest.raises(ValueError, match="`teacher_features` should be .* SmallResNet.*It has conv1, bn1, layer1"):
        module(small(), small(1), teacher_features="?")


def test_a_network_without_features_names_both_ways():
    with pytest.raises(ValueError, match="`student_features` to the path of a submodule, or .* `forward_features`"):
        module(network(), Inner())


def test_a_pass_beside_the_features_is_an_error():
    with pytest.raises(ValueError, match="teacher's forward pass should go through `forward_features`"):
        module(Inner(), Inner(through=False)).signals((VECTORS, LABELS))


def test_features_that_are_no_tensor_are_an_error():
    from transformers import ResNetConfig, ResNetForImageClassification

    config = ResNetConfig(embedding_size=8, hidden_sizes=[8], depths=[1], num_labels=3)
    model = module(ResNetForImageClassification(config), resnet8(3), student_features="resnet")
    with pytest.raises(TypeError, match="student's features should be a tensor.*ModelOutput.* submodule 'resnet'"):
        model.signals((torch.randn(2, 3, 32, 32), LABELS[:2]))


def test_a_compiled_student_keeps_no_features():
    with pytest.raises(ValueError, match="`compile_student` should be False for Distance"):
        module(Inner(), Inner(), compile_student=True)


def test_a_missing_index_names_the_option_of_the_data(tmp_path):
    with pytest.raises(ValueError, match="WeightedSum asks for the signal `index`.*set `return_index`"):
        trainer(tmp_path).fit(contrasted(), loader())


def test_missing_views_name_the_option_of_the_data(tmp_path):
    with pytest.raises(ValueError, match="asks for the signal `student_logits_strong`.*set `two_views`"):
        trainer(tmp_path).fit(module(Inner(), Inner(), MLKD()), loader())


@pytest.mark.parametrize("name", ["student", "teacher"])
def test_grey_images_for_a_colour_network_say_so(name):
    networks = {"student": small(), "teacher": small(1), name: resnet8(3)}
    with pytest.raises(ValueError, match=rf"the {name}'s first convolution `conv1` takes, 3. Found .* \(4, 1, 8, 8\)"):
        module(**networks, divergence=ForwardKL()).signals((IMAGES, LABELS))


def test_other_errors_of_a_network_are_its_own():
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        module(network(2), network(1), ForwardKL()).signals((torch.zeros(4, 2), LABELS))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float64])
def test_inputs_of_another_dtype_are_named_with_the_weights(dtype):
    found = rf"student's weights, torch.float32. Found inputs of shape \(4, 1, 8, 8\) and dtype {dtype}"
    with pytest.raises(ValueError, match=found):
        module(small(), None, task_weight=1.0).signals((IMAGES.to(dtype), LABELS))


def test_maps_with_the_classes_second_are_refused():
    maps = {"student": nn.Conv2d(1, 5, 1), "teacher": nn.Conv2d(1, 5, 1)}
    with pytest.raises(ValueError, match=r"last axis.*`teacher_logits` of shape \(4, 5, 8, 8\) .* \(4, 1, 8, 8\)"):
        module(**maps, divergence=ForwardKL()).signals((IMAGES,))
