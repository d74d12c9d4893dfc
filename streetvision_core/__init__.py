"""StreetVision: tells whether a street image shows road work, and how sure it is.

Importing the package loads no model library; rooms are imported by name (`streetvision_core.cascade`, …).
"""

__version__ = "0.1.0"
