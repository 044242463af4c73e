"""Knowledge distillation for PyTorch Lightning on the α-β-divergence.

The names exported here are those of a first training; each is imported when it is first used. Every public name has one
path, in a catalogue (`data`, `models`, `modules`, `callbacks`) or in a room (`losses`, `metrics`, `schedules`,
`functional`, `kernels`, `diagnostics`). The package is built in floors, and each imports only from the floors below it:

- `cli`, `diagnostics`: the command line and figures.
- `data`, `models`, `modules`, `callbacks`: the catalogues, which list names and define none.
- `vision`, `language`: the wings, which do not import each other.
- `training`: what both wings share.
- `losses`, `metrics`: modules that compute numbers from logits or features.
- `kernels`: fused implementations.
- `functional`, `schedules`: pure functions of tensors and of positions in training.
"""

from typing import TYPE_CHECKING

from lightning_abkd._utils import export_lazily, forward_old_files

__version__ = "0.1.0"

if TYPE_CHECKING:
    from lightning_abkd.callbacks import (
        AlphaBetaScheduler as AlphaBetaScheduler,
        CachedTeacher as CachedTeacher,
        HyperparameterScheduler as HyperparameterScheduler,
        SavePretrained as SavePretrained,
    )
    from lightning_abkd.data import (
        DigitsDataModule as DigitsDataModule,
        ImageFolderDataModule as ImageFolderDataModule,
        InstructionDataModule as InstructionDataModule,
    )
    from lightning_abkd.diagnostics import divergence_map as divergence_map
    from lightning_abkd.losses import (
        AlphaBetaDivergence as AlphaBetaDivergence,
        DistillationLoss as DistillationLoss,
        Divergence as Divergence,
        ForwardKL as ForwardKL,
        JensenShannon as JensenShannon,
        ReverseKL as ReverseKL,
        TokenwiseAlphaBeta as TokenwiseAlphaBeta,
        WeightedSum as WeightedSum,
        evaluate_divergences as evaluate_divergences,
    )
    from lightning_abkd.models import load_pretrained as load_pretrained
    from lightning_abkd.modules import (
        DistillationModule as DistillationModule,
        LanguageDistillationModule as LanguageDistillationModule,
    )
else:
    export_lazily(
        __name__,
        {
            "lightning_abkd.callbacks": [
                "AlphaBetaScheduler",
                "CachedTeacher",
                "HyperparameterScheduler",
                "SavePretrained",
            ],
            "lightning_abkd.data": ["DigitsDataModule", "ImageFolderDataModule", "InstructionDataModule"],
            "lightning_abkd.diagnostics": ["divergence_map"],
            "lightning_abkd.losses": [
                "AlphaBetaDivergence",
                "DistillationLoss",
                "Divergence",
                "ForwardKL",
                "JensenShannon",
                "ReverseKL",
                "TokenwiseAlphaBeta",
                "WeightedSum",
                "evaluate_divergences",
            ],
            "lightning_abkd.models": ["load_pretrained"],
            "lightning_abkd.modules": ["DistillationModule", "LanguageDistillationModule"],
        },
        rooms=[
            "callbacks",
            "cli",
            "data",
            "diagnostics",
            "functional",
            "kernels",
            "language",
            "losses",
            "metrics",
            "models",
            "modules",
            "schedules",
            "training",
            "vision",
        ],
    )

forward_old_files([f"{__name__}.{catalogue}" for catalogue in ("data", "models", "modules", "callbacks")])
