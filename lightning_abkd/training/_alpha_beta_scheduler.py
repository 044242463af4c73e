"""The schedule of α and β."""

from typing import Literal

from lightning_abkd.schedules import Schedule
from lightning_abkd.training._hyperparameter_scheduler import HyperparameterScheduler


class AlphaBetaScheduler(HyperparameterScheduler):
    """Moves α and β of the divergence during training.

    α controls hardness-concentration: a smaller α puts more weight on classes with a large error. β controls
    confidence-concentration: a larger β puts more weight on classes that the student believes in. (1, 0) is forward
    KL, (0, 1) reverse KL. ABKD itself (arXiv 2505.04560) keeps both fixed; a schedule may start broad, near
    (1, 0), and sharpen as the student learns. In YAML::

        callbacks:
          - class_path: lightning_abkd.callbacks.AlphaBetaScheduler
            init_args:
              alpha: {class_path: lightning_abkd.schedules.Cosine, init_args: {start: 1.0, end: 0.2}}
              beta: {class_path: lightning_abkd.schedules.Cosine, init_args: {start: 0.0, end: 0.7}}

    Args:
        alpha: Schedule of α, or a constant; None does not set α.
        beta: Schedule of β, or a constant; None does not set β.
        interval: Whether positions are optimizer steps ("step") or epochs ("epoch").
        attribute: Dotted path of the divergence in the module.

    Raises:
        ValueError: If neither `alpha` nor `beta` is given.

    Example:
        >>> from lightning_abkd.schedules import Linear
        >>> AlphaBetaScheduler(alpha=Linear(1.0, 0.2), beta=Linear(0.0, 0.7)).state_key
        "AlphaBetaScheduler('step', divergence.alpha, divergence.beta)"
    """

    def __init__(
        self,
        alpha: Schedule | float | None = None,
        beta: Schedule | float | None = None,
        interval: Literal["step", "epoch"] = "step",
        attribute: str = "divergence",
    ) -> None:
        if alpha is None and beta is None:
            raise ValueError("AlphaBetaScheduler should get a schedule. Found neither `alpha` nor `beta`.")
        given = {"alpha": alpha, "beta": beta}
        super().__init__(
            {f"{attribute}.{name}": schedule for name, schedule in given.items() if schedule is not None}, interval
        )
