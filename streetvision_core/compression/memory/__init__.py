"""What fits on a card: weights, activations, KV cache and runtime of a profile, counted before anything is loaded.

Example:
    >>> from streetvision_core.settings import load_settings
    >>> plan = plan_memory(load_settings("platinum"), gpu_gib=24.0)
    >>> plan.fits, sorted(item.role for item in plan.items if item.resident)[:2]
    (True, ['backbone', 'detector'])
"""

from streetvision_core.compression.memory.claims import Claim, claims
from streetvision_core.compression.memory.measured import Measured, measurable, measure
from streetvision_core.compression.memory.plan import Change, Item, MemoryPlan, plan_memory
from streetvision_core.compression.memory.shapes import Shape, shape, shapes

__all__ = [
    "Change",
    "Claim",
    "Item",
    "Measured",
    "MemoryPlan",
    "Shape",
    "claims",
    "measurable",
    "measure",
    "plan_memory",
    "shape",
    "shapes",
]
