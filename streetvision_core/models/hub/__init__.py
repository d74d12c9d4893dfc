"""The store of big models: a catalogue, a local folder with digests, and the way from the hub into it.

Adapters call `resolve(model_id, settings)` and load from the folder it returns; nothing else ever downloads.
"""

from streetvision_core.models.hub.catalogue import ModelEntry, entries, entry, wanted
from streetvision_core.models.hub.store import NEEDED_ROLES, folder_of, record, require, resolve, root, verify_folder

__all__ = [
    "NEEDED_ROLES",
    "ModelEntry",
    "entries",
    "entry",
    "folder_of",
    "record",
    "require",
    "resolve",
    "root",
    "verify_folder",
    "wanted",
]
