"""The `streetvision` command. Heavy rooms are imported inside the commands, so that `--help` is quick."""

from streetvision_core.cli._app import main

__all__ = ["main"]
