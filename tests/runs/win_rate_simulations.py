"""How often the intervals of a win rate miss what all prompts would give, in per cent; 5 is nominal.

Run it: ``python -m tests.runs.win_rate_simulations``.
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from biddable.runs.win_rate import WinRate, win_rate

CASES = (
    # prompts, answers to each, log-odds of a win at equal lengths, effect of length, share of ties
    (20, 1, 0.0, 2.0, 0.0),
    (50, 1, 0.0, 2.0, 0.0),
    (50, 1, -1.0, 3.0, 0.0),
    (200, 1, 0.0, 2.0, 0.3),
    (200, 1, -1.5, 3.0, 0.0),
    (50, 4, 0.0, 2.0, 0.0),
    (200, 4, -1.0, 3.0, 0.0),
    (50, 1, 3.0, 2.0, 0.0),
)


def simulated(
    rng: np.random.Generator, prompts: int, answers: int, odds: float, effect: float, ties: float
) -> WinRate:
    """Answers of lengths as they come, judged by a judge that likes long ones; prompts are easy or hard."""
    n = prompts * answers
    hardness = np.repeat(rng.normal(size=prompts), answers) * (answers > 1)
    ours = rng.lognormal(6.0, 0.6, n)
    theirs = np.repeat(rng.lognormal(6.2, 0.6, prompts), answers)
    wins = (rng.random(n) < expit(odds + effect * np.tanh((ours - theirs) / 600) + hardness)).astype(float)
    wins[rng.random(n) < ties] = 0.5
    clusters = np.repeat(np.arange(prompts), answers).tolist() if answers > 1 else None
    return win_rate(wins.tolist(), lengths=(ours, theirs), clusters=clusters)


def main(times: int = 2_000) -> None:
    """Print a line for each case: of the raw and of the length-controlled interval."""
    rng = np.random.default_rng(0)
    for prompts, answers, odds, effect, ties in CASES:
        # What all prompts would give; standard deviations of a few prompts stand for that of all.
        whole = simulated(rng, 200_000 // answers, answers, odds, effect, ties)
        assert whole.controlled is not None
        raw, controlled, counted = 0, 0, 0
        for _ in range(times):
            found = simulated(rng, prompts, answers, odds, effect, ties)
            if found.interval is None or found.controlled is None or found.controlled.interval is None:
                continue
            counted += 1
            raw += not found.interval[0] <= whole.rate <= found.interval[1]
            low, high = found.controlled.interval
            controlled += not low <= whole.controlled.rate <= high
        missed = f"raw {100 * raw / counted:.1f}, length-controlled {100 * controlled / counted:.1f}"
        print(f"{prompts} x {answers}, {odds:+.1f}, {effect:.1f}, {ties:.0%} ties: {missed} ({counted})")


if __name__ == "__main__":
    main()
