"""What a report says of a stage that the profile does not have."""

from typing import Final

ABSENT_VLM: Final = "no package carries an image-text model; on this profile stage 3 is absent, not imitated"
