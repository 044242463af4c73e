"""Networks: weights from files, and the architectures that the field compares on.

Here live factories annotated to return a `torch.nn.Module`, which a config names as a class path. The networks are
classifiers of small images with `forward(x)` -> logits (B, num_classes) and `forward_features(x)` -> (B, D), the
penultimate features; their parameters are named as in the RepDistiller checkpoints. What torchvision or transformers
has is taken from there; losses, training and Lightning do not belong here.
"""

from lightning_abkd.functional import top_k_buckets
from lightning_abkd.models._adapters import lora, merged
from lightning_abkd.models._bottleneck_resnet import resnet50_cifar
from lightning_abkd.models._causal_lm import causal_lm, causal_lm_from_config, truncated
from lightning_abkd.models._checkpoint import load_weights, pretrained, save_weights
from lightning_abkd.models._clip import CLIPClassifier, PromptedCLIP, clip_classifier, prompted_clip
from lightning_abkd.models._evaluated import evaluated
from lightning_abkd.models._mobilenet import mobilenetv2
from lightning_abkd.models._resnet import (
    SmallResNet,
    resnet8,
    resnet8x4,
    resnet14,
    resnet20,
    resnet32,
    resnet32x4,
    resnet44,
    resnet56,
    resnet110,
)
from lightning_abkd.models._separate_head import SeparateHead, separate_head
from lightning_abkd.models._shufflenet import shufflenetv1, shufflenetv2
from lightning_abkd.models._teacher_cache import TeacherCache
from lightning_abkd.models._teacher_cache_files import CacheStatistics
from lightning_abkd.models._teacher_cache_identity import CacheIdentity, model_identity
from lightning_abkd.models._teacher_cache_writer import TeacherCacheWriter
from lightning_abkd.models._vgg import vgg8, vgg11, vgg13, vgg16, vgg19
from lightning_abkd.models._wide_resnet import WideResNet, wrn_16_1, wrn_16_2, wrn_40_1, wrn_40_2

__all__ = [
    "CLIPClassifier",
    "CacheIdentity",
    "CacheStatistics",
    "PromptedCLIP",
    "SeparateHead",
    "SmallResNet",
    "TeacherCache",
    "TeacherCacheWriter",
    "WideResNet",
    "causal_lm",
    "causal_lm_from_config",
    "clip_classifier",
    "evaluated",
    "load_weights",
    "lora",
    "merged",
    "mobilenetv2",
    "model_identity",
    "pretrained",
    "prompted_clip",
    "resnet8",
    "resnet8x4",
    "resnet14",
    "resnet20",
    "resnet32",
    "resnet32x4",
    "resnet44",
    "resnet50_cifar",
    "resnet56",
    "resnet110",
    "save_weights",
    "separate_head",
    "shufflenetv1",
    "shufflenetv2",
    "top_k_buckets",
    "truncated",
    "vgg8",
    "vgg11",
    "vgg13",
    "vgg16",
    "vgg19",
    "wrn_16_1",
    "wrn_16_2",
    "wrn_40_1",
    "wrn_40_2",
]
