"""Compatible demonstrations (Gandhi et al., CoRL 2022, arXiv 2210.08073).

People who do a task in ways that are equally good, but not the same, spoil each other's demonstrations: a
policy that learns from all of them does something in between. The paper measures whether a new demonstration
fits a policy that one operator's demonstrations have made (``compatibility``), drops what does not, and asks
new people, with feedback, for what does (``elicitation``).

For a pair of state and action: *error*, the mean squared difference between what the members of an ensemble
would do and what was done; *novelty*, the spread of the members. A pair does not fit where the error is high
and the novelty low: the policy knows the place and would act otherwise. What is new is always welcome.
Whoever is rejected is shown where, and the base demonstration that is nearest by dynamic time warping: by the
root of the least sum of squared distances between states, as in the official code.

Claim: in simulated nut assembly and hammer placement and with a real arm, filtering and eliciting raise
success over taking all demonstrations. The paper's tables were not at hand, so only directions are compared:
all < filtered, all < elicited, and all may be below the base operator's policy alone.

Departures, and why:

* *Tasks* are the two toy tasks of the official code (``envs/reach2d``), and people are scripts, with an
  unsteady hand: no human and no arm can be had here. A person who was rejected changes to another style
  with probability ``learns``.
* *Thresholds*: the error is the paper's 0.4, for actions in [-1, 1]; the novelty is a quantile of the base
  operator's own demonstrations, each seen by an ensemble that did not learn from it (the paper's numbers are
  its tasks' own).
* *Networks* are 128 wide and have no dropout (the paper: 1024 and 0.5): states have four numbers.
* *The way back*: five of the new demonstrations are from places that the base operator never saw, so that the
  condition on novelty has something to save. Every arm with new demonstrations has them.
* *The base operator* gave 20 demonstrations from three quarters of the width of starts and goals, so that her
  policy has something to gain. With half the width it fails so often that any demonstration helps, also one
  in another style; with all of it there is nothing to gain.
* An arm of our own, *dropped at random*, loses as many pairs as the filter drops.
"""

from biddable.methods.act.compatible_demos.method import CompatibleDemos, CompatibleDemosConfig

__all__ = ["CompatibleDemos", "CompatibleDemosConfig"]
