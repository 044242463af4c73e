"""Pictures and checks of what a run did or would do, made from its logs or a batch, and sweeps of runs.

Here: what a user looks at. Not here: anything that a training needs. Plots need the extra `quickstart` (matplotlib).
"""

from lightning_abkd.diagnostics._alpha_beta_plane import plot_alpha_beta_plane
from lightning_abkd.diagnostics._curves import plot_curves, read_metrics
from lightning_abkd.diagnostics._divergence_map import DivergenceMap, divergence_map, plot_divergence_map
from lightning_abkd.diagnostics._sweep import sweep

__all__ = [
    "DivergenceMap",
    "divergence_map",
    "plot_alpha_beta_plane",
    "plot_curves",
    "plot_divergence_map",
    "read_metrics",
    "sweep",
]
