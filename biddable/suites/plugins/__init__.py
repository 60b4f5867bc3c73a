"""Our judges inside other tools: a task of lm-evaluation-harness, and a scorer of Inspect."""
