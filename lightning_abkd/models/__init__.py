"""Networks: weights from files, and the architectures that the field compares on.

Here live factories annotated to return a `torch.nn.Module`, which a config names as a class path. The networks are
classifiers of small images with `forward(x)` -> logits (B, num_classes) and `forward_features(x)` -> (B, D), the
penultimate features; their parameters are named as in the RepDistiller checkpoints. What torchvision or transformers
has is taken from there; losses, training and Lightning do not belong here.
"""

from lightning_abkd.models._adapters import lora, merged
from lightning_abkd.models._causal_lm import causal_lm, causal_lm_from_config, truncated
from lightning_abkd.models._checkpoint import load_weights, pretrained, save_weights
from lightning_abkd.models._evaluated import evaluated
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
from lightning_abkd.models._teacher_cache import TeacherCache
from lightning_abkd.models._teacher_cache_buckets import top_k_buckets
from lightning_abkd.models._teacher_cache_files import CacheStatistics
from lightning_abkd.models._teacher_cache_identity import CacheIdentity, model_identity
from lightning_abkd.models._teacher_cache_writer import TeacherCacheWriter

__all__ = [
    "CacheIdentity",
    "CacheStatistics",
    "SeparateHead",
    "SmallResNet",
    "TeacherCache",
    "TeacherCacheWriter",
    "causal_lm",
    "causal_lm_from_config",
    "evaluated",
    "load_weights",
    "lora",
    "merged",
    "model_identity",
    "pretrained",
    "resnet8",
    "resnet8x4",
    "resnet14",
    "resnet20",
    "resnet32",
    "resnet32x4",
    "resnet44",
    "resnet56",
    "resnet110",
    "save_weights",
    "separate_head",
    "top_k_buckets",
    "truncated",
]
