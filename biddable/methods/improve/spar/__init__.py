"""SPaR: self-play with tree-search refinement (Cheng et al., ICLR 2025, arXiv 2412.11605).

One model plays two roles. The *actor* answers; the *refiner* judges an answer and repairs it. A tree
search over repairs finds, for an answer that failed, one that passes and differs from it in little but
the constraint that was missed. Such pairs train the actor (DPO); what worked trains the refiner (RFT).

Claim: pairs of independent samples differ in much that does not matter, which hurts; refined pairs do
not. IFEval average of LLaMA3-8B-Instruct: 77.9 untrained, 79.3 Self-Rewarding, 81.8 after three
iterations, 83.7 with tree search at inference (Table 1). Similarity of the two sides of a pair: 0.90
refined, 0.85 independent.

The steps, and where they are:

1. prompts: composed verifiable tasks (``tasks/compose``);
2. bootstrap of the refiner (``selfplay.SelfPlay.bootstrap``);
3. K sampled answers, judged; one negative per task (``selfplay``, ``data``);
4. a tree of repairs from each negative (``search/tree``);
5. actor: DPO on repaired against original, with the likelihood term (``train/dpo``);
6. refiner: fine-tuning on winning repairs and disputed judgements (``data``, ``train/sft``);
7. three times over; the same search at inference (``method``, ``evaluate``).

``arms`` holds the baselines of Table 1 and the ablations of Table 4, ``evaluate.curve`` figure 5. The
experiments of figure 4 are a method of their own, ``spar-controlled``.

Departures from the paper, and why:

* *Teacher.* No strong model is at hand: the first refiner learns rule-made repairs of the model's own
  failures on training tasks. The actor gets no supervised stage (as the paper's 70B model).
* *Judge.* A model of 135M parameters cannot judge in prose, so by default the tasks' rules are the
  judge (value 1 when all are met, else half the share that is, so that a tree prefers what is nearer;
  the gate at 0.5 lets none of these pass). ``judge=self`` is the paper's: the refiner, by vote. That a text
  is an answer is one of the rules (``judges/degenerate``): a judge that reads would see that
  ``"*this*"`` is none, and self-play on rules alone ends in such texts.
* *Prompts* are composed from hand-written requests and 25 rule types, not evolved from Infinity-Instruct.
* *DPO's settings* are those of a small model, and alike for all arms: 1e-4 over three epochs (the paper, for
  8B: 2e-7 and one), and a likelihood term of weight 2 (the paper: 0.1). With 0.1 the actor soon loops: both
  sides of a refined pair share most of their text, and DPO then lowers the likelihood of both. They were
  tuned on the validation split (see the manual's page).
* *At inference* the answers that are repaired are those the checks fail, whoever judges the repairs; with
  ``judge=self`` the refiner criticises them in its own words, and the checks say what came of it.
* *RFT* goes on from the previous refiner, and only the last turn carries loss (the paper leaves both open);
  the rate falls to zero (the paper's stays). Where rules judge, it learns repairs only: nobody asks it to
  judge.
* *Caps* on the refiner's data stay the paper's numbers below 10,000 prompts, where they rarely bind; what
  repeats a judge prompt is left out once for repairs and once for judgements.
* *The critique that is taught.* Of the votes on an answer the *first* that agrees with the majority is the
  critique everywhere: what the refiner sees of a failed answer and what it learns to say of a disputed one.
  The official script takes the last such vote for the latter, the refiner's targets. It matters with
  ``judge=self`` only: rules do not vote.
* A tree in which no repair could be made is a failure like any other; the official script skips it.
"""

from biddable.methods.improve.spar.config import SparConfig
from biddable.methods.improve.spar.method import Spar

__all__ = ["Spar", "SparConfig"]
