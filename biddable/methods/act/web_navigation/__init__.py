"""Learning to Navigate the Web (arXiv 1812.09195): values of actions on pages. No method of it yet."""
