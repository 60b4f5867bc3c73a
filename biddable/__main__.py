"""``python -m biddable`` is the command ``biddable``."""

from biddable.cli import main

main()
