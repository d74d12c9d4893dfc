"""`python -m streetvision_core` is the `streetvision` command."""

from streetvision_core.cli import main

if __name__ == "__main__":
    main()
