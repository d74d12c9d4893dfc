"""The rendered street world: frames with exact labels, boxes, distances and failure modes."""

from streetvision_core.data.scenes._compose import compose
from streetvision_core.data.scenes._frame import SceneFrame
from streetvision_core.data.scenes._render import drive, render
from streetvision_core.data.scenes._sheet import contact_sheet, draw_boxes, tile

__all__ = ["SceneFrame", "compose", "contact_sheet", "draw_boxes", "drive", "render", "tile"]
