"""NATIX' set on Hugging Face and CMU's ROADWork: rows, groups, the feature table, and folders to train detectors on.

NATIX' images carry ROADWork's own fields, so most of them are probably the same photos: whoever uses both joins near
duplicates over both before splitting, as `to_table` does.
"""

from streetvision_core.data.roadwork.annotations import read_roadwork
from streetvision_core.data.roadwork.natix import NatixSource, hub_shards
from streetvision_core.data.roadwork.rows import SourceRow, join_groups, validators_rule
from streetvision_core.data.roadwork.table import to_table

__all__ = ["NatixSource", "SourceRow", "hub_shards", "join_groups", "read_roadwork", "to_table", "validators_rule"]
