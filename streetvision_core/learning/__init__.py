"""The learning half as plain functions on values: dataset, train, calibrate, compress, evaluate, compare, promote.

Nothing here writes but functions named `save_…` and `record_…`.
"""

from streetvision_core.learning.build import build_dataset
from streetvision_core.learning.dataset import Dataset, Provenance

__all__ = ["Dataset", "Provenance", "build_dataset"]
