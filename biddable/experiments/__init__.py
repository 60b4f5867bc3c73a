"""What experiments need: arms, claims, scores, answers, training and students as stages of a run."""
