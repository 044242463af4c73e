"""Knowledge distillation for PyTorch Lightning on the α-β-divergence.

Floors, from the ground up; imports point down only:

0. `functional`, `schedules`: pure functions on tensors and numbers.
1. `kernels`: fused implementations with the signatures of `functional`.
2. `losses`, `models`, `data`, `metrics`: modules, networks, batches, measurements.
3. `modules`, `callbacks`: Lightning.
4. `cli`, `diagnostics`: what a user runs.
"""

__version__ = "0.1.0"
