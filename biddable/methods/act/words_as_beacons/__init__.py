"""Words as Beacons (arXiv 2410.08632): a language model's subgoals, in training only.

On a grid whose only reward comes at the end, a *teacher* reads the level and lists subgoals in order: the
key, the locked door, the ball. The *student* (PPO) observes the current subgoal and gets a bonus for reaching
it, in training only. A subgoal is encoded by its offset from the agent (*relative*), by what is in its cell
(*representation*), or by the vector of its name (*language*).

Claim: 30 to 200 times fewer steps than recent methods for sparse rewards; representation is best overall; a
teacher that errs is slower than one that does not, and better than none.

Parts: ``teachers`` propose subgoals, ``subgoals.Tracker`` tracks which are reached, ``wrapper.SubgoalEnv``
adds them to observations and rewards, ``policies.ppo`` trains, ``student.train_student`` measures frames to
success.

Departures, and why:

* *Levels* are small ones (default MultiRoom-N4-S5; ``level`` takes KeyCorridor, ObstructedMaze, DoorKey too):
  150,000 frames or fewer, not 15 million. So the rate is 1e-3 (the paper: 1e-4), for all arms alike.
* *The language model* as a teacher is SmolLM2 (135M): it ranks the objects of the level by likelihood, since
  it does not write valid JSON; its prompt is ours, the paper's is not public. As there, its accuracy is
  measured first and the training asks a surrogate that errs as often. Published accuracies of three larger
  models are taken as they are.
* *Vectors of names* are SmolLM2's mean hidden states (576 numbers; the paper: a sentence encoder's 384).
* *Frames to success* count until 80 % of the last 100 episodes succeeded; a student that never reaches that
  counts with the whole budget, so differences are at least what is printed.
"""

from biddable.methods.act.words_as_beacons.method import WordsAsBeacons, WordsAsBeaconsConfig

__all__ = ["WordsAsBeacons", "WordsAsBeaconsConfig"]
