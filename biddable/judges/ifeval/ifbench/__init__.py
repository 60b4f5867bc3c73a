"""IFBench: 58 constraints that models were not trained on, in the form of IFEval's.

Pyatkin et al. (2025), "Generalizing Verifiable Instruction Following", arXiv 2507.02833; prompts and official
verdicts from the repository allenai/IFBench. The rules decide as the checkers did that gave the published
verdicts, defects included. The 294 sample outputs of the benchmark have 335 instructions; 329 can be decided
without the weights named below, and 328 of these are decided alike, strictly and loosely. What differs:

- ``ratio:sentence_type``, one output: the verdicts were given with an older way to cut sentences, which
  puts a closing quotation mark before the period. A sentence that ends with ``."`` is none with a period
  here, nor with the sentence tokenizer that the checkers use since.
- ``words:start_verb`` is decided only where the weights of NLTK's tagger are, and
  ``words:odd_even_syllables`` only where syllapy is installed. Without, they are refused by name and their
  tasks left out of the scores: an estimate would give other verdicts ("Conceive" is no verb to that tagger).

Known defects that stay, because published scores contain them: an asterisk anywhere counts as a bullet, so a
text without any passes ``format:sub-bullets``; "and" and "And" are different conjunctions; a text without
questions and statements has them in the right ratio; ``ratio:overlap`` compares trigrams of characters, and
``repeat:repeat_span`` copies characters, where the prompts mean words; ``ratio:sentence_words`` does not look
at the words; keywords are counted inside other words; blank lines upset ``format:line_indent``; curly
quotation marks are none. Those from ``ratio:overlap`` on are mended in :mod:`.fixed`.
"""

from biddable.judges.ifeval.ifbench import (  # noqa: F401 - importing them registers the rules
    counts,
    fixed,
    formats,
    sentences,
    whole,
    words,
)
