"""SPaR's two controlled experiments: what does a preference pair teach besides the constraint?

Figure 4 of SPaR (Cheng et al., ICLR 2025, arXiv 2412.11605). Two arms are trained by DPO from one start, on
the same prompts, with the same rejected answers and the same settings. They differ in the chosen answer
alone: in *refined* pairs it is the rejected one with the missed constraint repaired and nothing else
changed; in *interfering* pairs it meets the constraint as well, but differs in something that was never
asked for, as an independent sample would.

- ``characters``: write a letter so and so many times; the nuisance is its case.
- ``stories``: a story whose first and last sentence are given; the nuisance is all that stands between.

Claim (figure 4; its numbers can only be read off a drawing): trained on interfering pairs the model learns
the case instead of the number, and tells stories that meet their constraint less often than before;
refined pairs teach the constraint.

Departures from the paper, and why:

* The paper starts from a 7B chat model, which has the form of the answers from the beginning. A model of
  135M parameters has not: the start ("untrained") is that model after a few right answers, too few to be
  right often.
* The paper's data for them is not published. Instructions, letters and sentences are ours
  (``letters``, ``narration``, ``stories.json``), in splits that share no number of a letter and no sentence.
"""

from biddable.methods.improve.spar_controlled.method import ControlledConfig, SparControlled

__all__ = ["ControlledConfig", "SparControlled"]
