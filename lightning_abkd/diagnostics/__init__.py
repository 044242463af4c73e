"""Pictures and checks of what a run did, made from its logs, and sweeps of runs.

Here: what a user looks at. Not here: anything that a training needs. Plots need the extra `quickstart` (matplotlib).
"""

from lightning_abkd.diagnostics._alpha_beta_plane import plot_alpha_beta_plane
from lightning_abkd.diagnostics._curves import plot_curves, read_metrics
from lightning_abkd.diagnostics._sweep import sweep

__all__ = ["plot_alpha_beta_plane", "plot_curves", "read_metrics", "sweep"]
