"""The plugin FiftyOne's App loads; what it does is in `streetvision_core.mining._fiftyone_panel`."""

from streetvision_core.mining._fiftyone_panel import register

__all__ = ["register"]
