"""Networks on which the field compares methods, CLIP, and the networks of timm.

The first are classifiers of small images. `forward(x)` returns the logits (B, num_classes), and
`forward_features(x)` the penultimate features (B, D). Their parameters have the names of RepDistiller's checkpoints.
"""

from typing import TYPE_CHECKING

from lightning_abkd._utils import export_lazily

if TYPE_CHECKING:
    from lightning_abkd.vision.models._bottleneck_resnet import resnet50_cifar as resnet50_cifar
    from lightning_abkd.vision.models._clip import (
        CLIPClassifier as CLIPClassifier,
        PromptedCLIP as PromptedCLIP,
        clip_classifier as clip_classifier,
        prompted_clip as prompted_clip,
    )
    from lightning_abkd.vision.models._mobilenet import mobilenetv2 as mobilenetv2
    from lightning_abkd.vision.models._resnet import (
        SmallResNet as SmallResNet,
        resnet8 as resnet8,
        resnet8x4 as resnet8x4,
        resnet14 as resnet14,
        resnet20 as resnet20,
        resnet32 as resnet32,
        resnet32x4 as resnet32x4,
        resnet44 as resnet44,
        resnet56 as resnet56,
        resnet110 as resnet110,
    )
    from lightning_abkd.vision.models._shufflenet import shufflenetv1 as shufflenetv1, shufflenetv2 as shufflenetv2
    from lightning_abkd.vision.models._timm import timm_model as timm_model
    from lightning_abkd.vision.models._vgg import (
        vgg8 as vgg8,
        vgg11 as vgg11,
        vgg13 as vgg13,
        vgg16 as vgg16,
        vgg19 as vgg19,
    )
    from lightning_abkd.vision.models._wide_resnet import (
        WideResNet as WideResNet,
        wrn_16_1 as wrn_16_1,
        wrn_16_2 as wrn_16_2,
        wrn_40_1 as wrn_40_1,
        wrn_40_2 as wrn_40_2,
    )
else:
    export_lazily(
        __name__,
        {
            "lightning_abkd.vision.models._bottleneck_resnet": ["resnet50_cifar"],
            "lightning_abkd.vision.models._clip": [
                "CLIPClassifier",
                "PromptedCLIP",
                "clip_classifier",
                "prompted_clip",
            ],
            "lightning_abkd.vision.models._mobilenet": ["mobilenetv2"],
            "lightning_abkd.vision.models._resnet": [
                "SmallResNet",
                "resnet110",
                "resnet14",
                "resnet20",
                "resnet32",
                "resnet32x4",
                "resnet44",
                "resnet56",
                "resnet8",
                "resnet8x4",
            ],
            "lightning_abkd.vision.models._shufflenet": ["shufflenetv1", "shufflenetv2"],
            "lightning_abkd.vision.models._timm": ["timm_model"],
            "lightning_abkd.vision.models._vgg": ["vgg11", "vgg13", "vgg16", "vgg19", "vgg8"],
            "lightning_abkd.vision.models._wide_resnet": ["WideResNet", "wrn_16_1", "wrn_16_2", "wrn_40_1", "wrn_40_2"],
        },
    )
