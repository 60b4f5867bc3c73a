"""Learning to Navigate the Web (Gur et al., ICLR 2019, arXiv 1812.09195): forms, from an instruction.

An instruction is a list of fields (key, value); a page is a tree of elements. A deep Q-network (*QWeb*)
values every click and every typing of a field into an element. On a long form success is so rare that it
learns nothing; two ways out: a *curriculum* of easier starts or shorter instructions, which needs an oracle,
and a *meta-trainer* that makes instructions up from pages that were filled in at random, which needs none.

Claim: without demonstrations QWeb masters forms of up to 100 elements and some 14 million instructions,
where methods that had demonstrations fail; curricula and the meta-trainer each improve on it. (Numbers by
task: not verified.)

The steps: ``features`` makes arrays of pages, ``qweb`` values actions, ``policies.dqn`` learns,
``curricula`` decides how episodes begin and what is paid (*dense*: by potential), ``inet`` invents
instructions, ``student.train_student`` measures a network, ``chromium`` tries it in a real browser.

Departures, and why:

* *The body of the paper was not at hand* when this was written: what stands in its abstract and public
  summaries is followed, the rest is ours. Sizes and rates are ours.
* *Pages* for learning are built without a browser, 22,000 steps a second and more; MiniWoB++ in Chromium is
  what the network that practised all kinds of pages is tried on afterwards, as it is. Its form for booking
  flights answers to typing with a list of suggestions that this vocabulary of actions (type a field, click)
  can use, but which no page here has: it is not among the tasks.
* *A click has no field*: its value is that for the field it fits best. In a table of kinds x fields x
  elements each click would stand once for every field, and be learned as often.
* *Elements are told which fields they resemble*, by attention, and the shallow part is told how far each
  field is done: without that no value of sending the form can depend on whether it is complete.
* *Inputs are called by what stands beside them* (their label), as browsers do for people who do not see.
* *Dense reward* is ``gamma`` P(s') - P(s), also on the step that ends the episode, as the paper's summaries
  give it; so it is no longer without influence on what is best, which needs P = 0 there.
* *Running out of steps* earns nothing, and costs nothing: with -1 for it, as for sending a wrong form,
  putting that off is best for whoever cannot succeed yet. The discount is 0.9, as at 0.99 a useless step
  costs almost nothing where reward is by potential.
* *A random action* is a click or typing with equal probability; what takes text is not clicked, as typing
  does that first.
* *INET* is trained on pages whose instruction is known, each pick of an element a step of its own with
  reward 1 if the field comes out right; an instruction that cannot be followed is not practised.
"""

from biddable.methods.act.web_navigation.method import WebNavigation, WebNavigationConfig

__all__ = ["WebNavigation", "WebNavigationConfig"]
