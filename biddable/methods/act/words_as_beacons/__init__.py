"""Words as Beacons (arXiv 2410.08632): a teacher's subgoals, in training only. No method of it yet."""
