"""Networks and weights, under the paths that configs use.

This file only lists names. Image classifiers and CLIP are defined in `lightning_abkd.vision.models`, causal language
models in `lightning_abkd.language.models`, stored teachers and separate heads in `lightning_abkd.language.teachers`,
and functions that load and save weights in `lightning_abkd.training`.
"""

from typing import TYPE_CHECKING

from lightning_abkd._utils import export_lazily

if TYPE_CHECKING:
    from lightning_abkd.functional import top_k_buckets as top_k_buckets
    from lightning_abkd.language.models import (
        causal_lm as causal_lm,
        causal_lm_from_config as causal_lm_from_config,
        keep_layers as keep_layers,
        lora as lora,
        merge_adapters as merge_adapters,
    )
    from lightning_abkd.language.teachers import (
        CacheIdentity as CacheIdentity,
        CacheStatistics as CacheStatistics,
        SeparateHead as SeparateHead,
        TeacherCache as TeacherCache,
        TeacherCacheWriter as TeacherCacheWriter,
        model_identity as model_identity,
        separate_head as separate_head,
    )
    from lightning_abkd.training import (
        eval_mode as eval_mode,
        load_pretrained as load_pretrained,
        load_weights as load_weights,
        save_weights as save_weights,
    )
    from lightning_abkd.vision.models import (
        CLIPClassifier as CLIPClassifier,
        PromptedCLIP as PromptedCLIP,
        SmallResNet as SmallResNet,
        WideResNet as WideResNet,
        clip_classifier as clip_classifier,
        mobilenetv2 as mobilenetv2,
        prompted_clip as prompted_clip,
        resnet8 as resnet8,
        resnet8x4 as resnet8x4,
        resnet14 as resnet14,
        resnet20 as resnet20,
        resnet32 as resnet32,
        resnet32x4 as resnet32x4,
        resnet44 as resnet44,
        resnet50_cifar as resnet50_cifar,
        resnet56 as resnet56,
        resnet110 as resnet110,
        shufflenetv1 as shufflenetv1,
        shufflenetv2 as shufflenetv2,
        timm_model as timm_model,
        vgg8 as vgg8,
        vgg11 as vgg11,
        vgg13 as vgg13,
        vgg16 as vgg16,
        vgg19 as vgg19,
        wrn_16_1 as wrn_16_1,
        wrn_16_2 as wrn_16_2,
        wrn_40_1 as wrn_40_1,
        wrn_40_2 as wrn_40_2,
    )
else:
    export_lazily(
        __name__,
        {
            "lightning_abkd.functional": ["top_k_buckets"],
            "lightning_abkd.language.models": [
                "causal_lm",
                "causal_lm_from_config",
                "lora",
                "merge_adapters",
                "keep_layers",
            ],
            "lightning_abkd.language.teachers": [
                "CacheIdentity",
                "CacheStatistics",
                "SeparateHead",
                "TeacherCache",
                "TeacherCacheWriter",
                "model_identity",
                "separate_head",
            ],
            "lightning_abkd.training": ["eval_mode", "load_weights", "load_pretrained", "save_weights"],
            "lightning_abkd.vision.models": [
                "CLIPClassifier",
                "PromptedCLIP",
                "SmallResNet",
                "WideResNet",
                "clip_classifier",
                "mobilenetv2",
                "prompted_clip",
                "resnet110",
                "resnet14",
                "resnet20",
                "resnet32",
                "resnet32x4",
                "resnet44",
                "resnet50_cifar",
                "resnet56",
                "resnet8",
                "resnet8x4",
                "shufflenetv1",
                "shufflenetv2",
                "timm_model",
                "vgg11",
                "vgg13",
                "vgg16",
                "vgg19",
                "vgg8",
                "wrn_16_1",
                "wrn_16_2",
                "wrn_40_1",
                "wrn_40_2",
            ],
        },
        renamed={
            "evaluated": "eval_mode",
            "merged": "merge_adapters",
            "truncated": "keep_layers",
            "pretrained": "load_pretrained",
        },
    )
