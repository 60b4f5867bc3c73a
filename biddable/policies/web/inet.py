"""The meta-trainer: instructions generated from pages that were filled in at random. Needs no oracle.

    a rule fills a page in -> INET gives the instruction that the page follows -> the learner practises it

INET looks at a page and at keys, and picks for each key the element whose value is to be copied.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from biddable.envs.forms import FormEnv
from biddable.envs.web import KINDS, Element, Field, WebAction
from biddable.errors import BiddableError, InputError
from biddable.policies.web.curricula import Curriculum
from biddable.policies.web.features import Sizes, featurize, text_beside
from biddable.policies.web.qweb import QWeb

MAX_TRIES = 50


class Invented(NamedTuple):
    """An instruction, and what the element of each field reads once it is followed, by ref."""

    fields: tuple[Field, ...]
    goal: dict[int, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class INETConfig:
    """Hyperparameters of INET's training."""

    updates: int = 400
    """Batches."""
    pages: int = 16
    """Pages in a batch."""
    lr: float = 3e-3
    """Adam's learning rate."""
    epsilon: float = 0.2
    """Share of random picks while training."""


class INET:
    """Picks, for each key, the element of a filled page whose value the instruction names.

    A QWeb that sees keys without values, of which the values of typing are read; a pick is a step of its
    own, worth 1 if the field comes out right.

    Args:
        sizes: of the pages.
        seed: of its weights and picks.
    """

    def __init__(self, sizes: Sizes, seed: int):
        torch.manual_seed(seed)
        self.sizes, self.network = sizes, QWeb()
        self._rng = np.random.default_rng(seed)

    def train(self, env: FormEnv, config: INETConfig) -> None:
        """On pages whose instruction is known: of random ones, and of the goals that they come with."""
        optimizer = torch.optim.Adam(self.network.parameters(), lr=config.lr)
        for _ in range(config.updates):
            pages = [known_page(env, self._rng) for _ in range(config.pages)]
            keys = [[field.key for field in fields] for fields, _ in pages]
            values, picks = self._pick([dom for _, dom in pages], keys, config.epsilon)
            rights = [
                float(value_of(dom[pick], dom) == field.value)
                for (fields, dom), of_page in zip(pages, picks, strict=True)
                for field, pick in zip(fields, of_page, strict=True)
            ]
            places = [(row, key, pick) for row, p in enumerate(picks) for key, pick in enumerate(p)]
            chosen = values[tuple(torch.tensor(places).T)]
            loss = nn.functional.huber_loss(chosen, torch.tensor(rights))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    def accuracy(self, env: FormEnv, pages: int) -> tuple[float, float]:
        """Shares of right fields, and of instructions without a wrong one, over so many of known pages."""
        rights = []
        for _ in range(pages):
            fields, dom = known_page(env, self._rng)
            invented = self.generate(dom, [field.key for field in fields])
            generated = {field.key: field.value for field in invented.fields}
            rights.append([generated.get(field.key) == field.value for field in fields])
        return float(np.mean(np.concatenate(rights))), float(np.mean([all(row) for row in rights]))

    @torch.no_grad()
    def generate(self, dom: Sequence[Element], keys: Sequence[str]) -> Invented:
        """The instruction that a page follows. A key whose element was picked before is left out.

        Raises:
            InputError: nothing on the page holds a value.
        """
        _, [picks] = self._pick([dom], [keys], 0.0)
        chosen: dict[int, str] = {}
        for key, pick in zip(keys, picks, strict=True):
            chosen.setdefault(pick, key)
        fields = tuple(Field(key, value_of(dom[pick], dom)) for pick, key in chosen.items())
        return Invented(fields, {dom[pick].ref: dom[pick].value for pick in chosen})

    def _pick(
        self, doms: Sequence[Sequence[Element]], keys: Sequence[Sequence[str]], epsilon: float
    ) -> tuple[torch.Tensor, list[list[int]]]:
        """Values [pages, fields, elements], and the place of an element for each key."""
        inputs = [self._features(dom, of_page) for dom, of_page in zip(doms, keys, strict=True)]
        arrays = [torch.from_numpy(np.stack(parts)) for parts in zip(*inputs, strict=True)]
        shape = (len(doms), len(KINDS), self.sizes.fields, self.sizes.elements)
        values = self.network(*arrays).view(shape)[:, KINDS.index("type")]
        holding = arrays[-1].view(shape)[:, KINDS.index("type"), 0].numpy()
        best = values.detach().argmax(-1).tolist()
        picks = []
        for row, of_page in enumerate(keys):
            filled = np.flatnonzero(holding[row])
            picks.append(
                [
                    int(self._rng.choice(filled)) if self._rng.random() < epsilon else best[row][key]
                    for key in range(len(of_page))
                ]
            )
        return values, picks

    def _features(self, dom: Sequence[Element], keys: Sequence[str]) -> tuple[NDArray[np.float32], ...]:
        """The network's inputs; the mask allows the elements that hold a value, for each key."""
        *arrays, _ = featurize({"dom": dom, "fields": [Field(key, "") for key in keys]}, self.sizes)
        filled = [bool(value_of(element, dom)) for element in dom]
        if not any(filled):
            raise InputError("dom", "a page without values", "at least one element that holds a value")
        mask = np.zeros((len(KINDS), self.sizes.fields, self.sizes.elements), dtype=np.float32)
        mask[KINDS.index("type"), : len(keys), : len(dom)] = filled
        return (*arrays, mask.reshape(-1))


class MetaTrainer(Curriculum):
    """A curriculum of made-up instructions; see the module.

    Each is tried out first: where following it from the empty page does not lead to its goal, another one is
    drawn. Whether an episode succeeds is decided by that goal, not by what the page wants.

    Attributes:
        drawn, refused: how many there were, and how many of them could not be followed.
    """

    def __init__(self, inet: INET, words: Sequence[str], seed: int):
        self.inet, self.words = inet, words
        self._rng = np.random.default_rng(seed)
        self.drawn = self.refused = 0

    def reset(self, env: FormEnv, seed: int | None) -> dict[str, Any]:
        """See ``Curriculum``.

        Raises:
            BiddableError: no instruction of many could be followed.
        """
        for attempt in range(MAX_TRIES):
            env.reset(seed=seed if attempt == 0 else None)
            filled = fill_at_random(env.dom, self.words, self._rng)
            invented = self.inet.generate(filled, env.form.keys)
            self.drawn += 1
            options = {"fields": invented.fields, "order": env.order, "goal": invented.goal}
            if invented.fields and can_be_followed(env, invented, options):
                return env.reset(options=options)[0]
            self.refused += 1
        raise BiddableError(f"{MAX_TRIES} instructions of INET in a row cannot be followed; train it longer")


def can_be_followed(env: FormEnv, invented: Invented, options: dict[str, Any]) -> bool:
    """Whether its goal is reached by typing its values, and clicking, from the empty page."""
    env.reset(options=options)
    by_ref = {element.ref: element for element in env.dom}
    for place, ref in enumerate(invented.goal):
        kind = "type" if by_ref[ref].takes_text else "click"
        done = any(env.step(WebAction(kind, ref, place))[2:4])  # type: ignore[arg-type]
        if done:
            return False
    return env.filled() == 1.0


def fill_at_random(
    dom: Sequence[Element], words: Sequence[str], rng: np.random.Generator
) -> tuple[Element, ...]:
    """A page on which every box has a random word, and of radio buttons that stand together one is chosen."""
    groups: dict[int, list[int]] = {}
    for element in dom:
        if element.tag == "input_radio":
            groups.setdefault(element.parent, []).append(element.ref)
    ticked = {int(rng.choice(refs)) for refs in groups.values()}
    filled = []
    for element in dom:
        if element.takes_text:
            element = replace(element, value=words[int(rng.integers(len(words)))])
        elif element.tag == "input_radio":
            element = replace(element, value=str(element.ref in ticked))
        filled.append(element)
    return tuple(filled)


def known_page(env: FormEnv, rng: np.random.Generator) -> tuple[tuple[Field, ...], tuple[Element, ...]]:
    """An instruction and a page that follows it, with something in all other inputs."""
    env.reset()
    parents = {element.ref: element.parent for element in env.dom}
    chosen = {parents[ref] for ref in env.goal if env.goal[ref] == "True"}
    page = []
    for element in fill_at_random(env.dom, env.all_values(), rng):
        if element.ref in env.goal:
            element = replace(element, value=env.goal[element.ref])
        elif element.tag == "input_radio" and element.parent in chosen:
            element = replace(element, value="False")
        page.append(element)
    return env.fields, tuple(page)


def value_of(element: Element, dom: Sequence[Element]) -> str:
    """What an element holds: what is typed in, or what a ticked box is called; else nothing."""
    if element.takes_text:
        return element.value
    return text_beside(element, dom) if element.value == "True" else ""
