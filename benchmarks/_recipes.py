"""The objectives that are compared on Fashion-MNIST, with the temperatures and weights of their papers."""

from collections.abc import Callable
from dataclasses import dataclass

from lightning.pytorch import Callback

from lightning_abkd.callbacks import AlphaBetaScheduler, HyperparameterScheduler
from lightning_abkd.losses import (
    DIST,
    DKD,
    LSD,
    TTM,
    AlphaBetaDivergence,
    DistillationLoss,
    ForwardKL,
    JensenShannon,
    ReverseKL,
)
from lightning_abkd.schedules import Cosine, Linear

# Depth and widths of a residual network.
Size = tuple[int, tuple[int, int, int, int]]


@dataclass(frozen=True)
class Budget:
    """How much is computed: images (None for all), epochs, and the networks."""

    samples: int | None
    epochs: int
    teacher: Size
    student: Size


REDUCED = Budget(10_000, 16, (20, (16, 16, 32, 64)), (8, (8, 8, 16, 32)))
FULL = Budget(None, 60, (32, (32, 64, 128, 256)), (8, (32, 64, 128, 256)))


@dataclass(frozen=True)
class Recipe:
    """A loss, its weight, the weight of the cross-entropy, and a callback built for the number of steps."""

    loss: Callable[[], DistillationLoss] | None = None
    weight: float = 1.0
    task_weight: float = 1.0
    callback: Callable[[int], Callback] | None = None


def warm_up(steps: int) -> Callback:
    """Raise the weight over a twelfth of the training, as DKD does over 20 of 240 epochs."""
    return HyperparameterScheduler({"distillation_weight": Linear(0.0, 1.0, max(1, steps // 12))})


def schedule(_: int) -> Callback:
    """Move from forward KL to the paper's point."""
    return AlphaBetaScheduler(Cosine(1.0, 0.8), Cosine(0.0, 0.3))


def ab_dkd() -> DistillationLoss:
    """Build DKD with the α-β-divergence on the non-target part."""
    return DKD(AlphaBetaDivergence(0.8, 0.2, 4.0, scale_by_temperature=True), non_target_weight=6.0)


def ab_lsd() -> DistillationLoss:
    """Build LSD with the α-β-divergence."""
    return LSD(AlphaBetaDivergence(0.9, 0.3, 2.0, scale_by_temperature=True))


METHODS = {
    "student alone": Recipe(),
    "forward KL": Recipe(lambda: ForwardKL(4.0), 32.0),
    "reverse KL": Recipe(lambda: ReverseKL(4.0), 32.0),
    "Jensen-Shannon": Recipe(lambda: JensenShannon(temperature=4.0), 32.0),
    "α-β (0.8, 0.3)": Recipe(lambda: AlphaBetaDivergence(0.8, 0.3, 4.0), 32.0),
    "α-β scheduled": Recipe(lambda: AlphaBetaDivergence(1.0, 0.0, 4.0), 32.0, callback=schedule),
    "DKD": Recipe(lambda: DKD(non_target_weight=6.0), callback=warm_up),
    "AB-DKD (0.8, 0.2)": Recipe(ab_dkd, callback=warm_up),
    "LSD": Recipe(LSD, 9.0, 0.1),
    "AB-LSD (0.9, 0.3)": Recipe(ab_lsd, 9.0, 0.1),
    "TTM": Recipe(lambda: TTM(power=0.1), 76.0),
    "DIST": Recipe(DIST),
}
DESCRIPTION = (
    "SGD of rate 0.05, momentum 0.9, weight decay 5e-4, batches of 64, × 0.1 after 5/8, 6/8 and 7/8 of the epochs, as "
    "the papers do on CIFAR-100. Weights too: α-β 32 at T = 4 without T², which is also KD's 2 with T²; reverse KL and "
    "Jensen-Shannon, for which there is no recipe, take the same; DKD 1 and 6 with warm-up, AB-DKD at α + β = 1; LSD 9 "
    "with 0.1 of the cross-entropy; TTM 76 at γ = 0.1; DIST 1 at T = 4. α-β scheduled goes from (1, 0) to (0.8, 0.3) "
    "in half a cosine."
)
