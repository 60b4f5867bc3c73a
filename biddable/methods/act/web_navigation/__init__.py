"""Learning to Navigate the Web (Gur et al., ICLR 2019, arXiv 1812.09195): forms, from an instruction.

An instruction is a list of fields (key, value); a page is a tree of elements. A deep Q-network (*QWeb*)
values every click and every typing of a field into an element. On a long form success is too rare to learn
from. Two remedies: a *curriculum* of easier starts or shorter instructions, which needs an oracle, and a
*meta-trainer* that generates instructions from pages filled in at random, which needs none.

Claim: without demonstrations QWeb masters forms of up to 100 elements and some 14 million instructions,
where methods that had demonstrations fail; curricula and the meta-trainer each improve on it. (Numbers by
task: not verified.)

Parts: ``features`` makes arrays of pages, ``qweb`` values actions, ``policies.dqn`` trains, ``curricula``
decide how episodes begin and are rewarded (*dense*: by potential), ``inet`` generates instructions,
``student.train_student`` trains and scores a network, ``chromium`` scores it in a real browser.

Departures, and why:

* *The body of the paper was not available*: its abstract and public summaries are followed; the rest, sizes
  and rates included, is ours.
* *Pages* for training are built without a browser, at 22,000 steps a second and more; the network trained on
  all kinds of pages is then scored on MiniWoB++ in Chromium, without further training. Its form for booking
  flights is not among the tasks: it answers typing with a list of suggestions, which no page here has.
* *A click has no field*: its value is the highest over fields. In a table of kinds x fields x elements each
  click would stand once for every field.
* *Elements attend to the fields they resemble*, and the shallow part gets how far each field is done: without
  that the value of sending the form cannot depend on whether it is complete.
* *Inputs are named by the label beside them*, as screen readers do.
* *Dense reward* is ``gamma`` P(s') - P(s), also on the step that ends the episode, as the paper's summaries
  give it; so it is no longer without influence on what is best, which needs P = 0 there.
* *Truncation* has reward 0: with -1, as for sending a wrong form, a policy that cannot succeed yet learns to
  put sending off. The discount is 0.9: at 0.99 a useless step costs almost nothing with dense reward.
* *A random action* is a click or typing with equal probability; what takes text is not clicked, as typing
  does that first.
* *INET* is trained on pages whose instruction is known, each pick of an element a step of its own with
  reward 1 if the field comes out right; an instruction that cannot be followed is not practised.
"""

from biddable.methods.act.web_navigation.method import WebNavigation, WebNavigationConfig

__all__ = ["WebNavigation", "WebNavigationConfig"]
