"""A policy that first says in words what it does next, then acts on it: RT-H's action hierarchy.

    z ~ pi_h(z | o, g)        the motion network: scores of phrases, a dot product with their vectors
    a ~ pi_l(a | o, g, z)     the action network: an action for observation, instruction and phrase

Where somebody gives a phrase, it stands in the place of z.

Source: Belkhale et al. 2024, "RT-H: Action Hierarchies Using Language" (arXiv 2403.01823).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, ClassVar, Literal, Self, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from biddable.errors import InputError
from biddable.models.embedding import TextVectors, minilm
from biddable.policies.config import Vectors
from biddable.policies.heads import Head, head_of
from biddable.policies.motions import MotionVocabulary
from biddable.policies.networks import MLP

Variant = Literal["words", "onehot", "cluster", "flat"]
"""What stands between observation and action: phrases by their vectors, phrases by codes that say nothing of
each other, clusters of actions by such codes, or nothing."""
SIZE = 64
"""Of the vectors of texts: those of MiniLM, of 384 numbers, are projected in random directions, which keeps
the angles between them and the networks small."""
Array = NDArray[np.float32]


class ActionHierarchy:
    """See the module.

    Args:
        variant: which of the ``Variant``.
        vocabulary: what phrases may be made of; of no use to "cluster" and "flat".
        phrases: [C] the classes of the motion network; none where the variant is "flat".
        instructions: those that were learned; their mean is taken off the vectors of all.
        vectors: what texts become vectors by: "minilm", or "words", a mean of a code for each word.
        parts: of an observation, laid side by side.
        size: numbers of those parts together.
        head: what the action network's outputs say.
        hidden: width of the hidden layers of both networks.
    """

    kind: ClassVar[str] = "action-hierarchy"

    def __init__(
        self,
        variant: Variant,
        vocabulary: MotionVocabulary | None,
        phrases: Sequence[str],
        instructions: Sequence[str],
        vectors: Vectors,
        parts: Sequence[str],
        size: int,
        head: Head,
        hidden: Sequence[int],
    ):
        if variant not in get_args(Variant):
            raise InputError("variant", variant, f"one of {', '.join(get_args(Variant))}")
        if variant in ("words", "onehot") and vocabulary is None:
            raise InputError("vocabulary", None, "one, for phrases")
        if (variant == "flat") != (not phrases):
            raise InputError("phrases", list(phrases), "at least one, and none of a flat policy")
        self.variant, self.vocabulary, self.phrases = variant, vocabulary, tuple(phrases)
        self.instructions, self.vectors, self.parts = tuple(instructions), vectors, tuple(parts)
        self.size, self.head, self.hidden = size, head, tuple(hidden)
        encode = encoder(vectors)
        self._texts = TextVectors(encode, around=self.instructions)
        self._words = TextVectors(encode, around=self.phrases) if variant == "words" else None
        self._spread = _spread(self._texts(self.instructions))  # [V, K]
        self.width = len(self._spread)
        self.codes = self._first_codes()  # [C, V]
        self.mean, self.deviation = torch.zeros(size), torch.ones(size)
        self.inputs_width = inputs = size + self._spread.shape[1]
        self.motion_network = None if variant == "flat" else MLP(inputs, self.width, hidden=hidden)
        lower = inputs if variant == "flat" else inputs + self.width
        self.action_network = MLP(lower, head.outputs, hidden=hidden, gain=0.1)

    # -- what it does --------------------------------------------------------------------------------------

    @torch.no_grad()
    def motion(self, observations: Sequence[Mapping[str, Any]]) -> tuple[list[str], Array]:
        """The likeliest phrase for each observation, and the probabilities [N, C] of all.

        Raises:
            InputError: a flat policy, or observations without a part or of another size.
        """
        if self.motion_network is None:
            raise InputError("variant", self.variant, "one with motions")
        probabilities = self.scores(self.inputs(*self._seen(observations))).softmax(-1).numpy()
        return [self.phrases[i] for i in probabilities.argmax(1)], probabilities

    @torch.no_grad()
    def action(
        self, observations: Sequence[Mapping[str, Any]], phrases: Sequence[str] | None = None
    ) -> list[Any]:
        """The likeliest action for each observation and its phrase; a flat policy has none.

        Raises:
            InputError: a phrase that is none, phrases for a flat policy, or as for ``motion``.
        """
        inputs = self.inputs(*self._seen(observations))
        codes = None if phrases is None else self.codes_of(phrases)
        actions = self.head.mode(self.outputs(inputs, codes))
        return actions.tolist() if actions.ndim == 1 else list(actions)

    def act(
        self,
        observations: Sequence[Mapping[str, Any]],
        correction: str | Sequence[str | None] | None = None,
    ) -> list[Any]:
        """See ``Policy.act``.

        Args:
            observations: what is seen.
            correction: a phrase that stands in the place of what the policy would say: one for all, or for
                each observation one or None.

        Raises:
            InputError: as ``action``; the message lists the vocabulary.
        """
        if self.variant == "flat":
            if correction is not None:
                raise InputError("correction", correction, "none: a flat policy takes no phrases")
            return self.action(observations)
        given = [correction] * len(observations) if isinstance(correction, str) else correction
        if given is not None and len(given) != len(observations):
            raise InputError("correction", f"{len(given)} of them", f"{len(observations)}, or one for all")
        phrases, _ = self.motion(observations)
        if given is not None:
            phrases = [said if typed is None else typed for typed, said in zip(given, phrases, strict=True)]
        return self.action(observations, phrases)

    # -- what it is made of, as training sees it -----------------------------------------------------------

    def inputs(self, states: Array, instructions: Sequence[str]) -> Tensor:
        """[N, size + K]: states in standard deviations, and what tells instructions apart."""
        texts = torch.from_numpy(self._texts(instructions) @ self._spread)
        return torch.cat([(torch.from_numpy(states) - self.mean) / self.deviation, texts], 1)

    def scores(self, inputs: Tensor) -> Tensor:
        """[N, C] logits of the phrases: the dot product of what the network says with their vectors."""
        assert self.motion_network is not None
        return self.motion_network(inputs) @ self.codes.T

    def outputs(self, inputs: Tensor, codes: Tensor | None) -> Tensor:
        """[N, head.outputs] for inputs and the vectors [N, V] of their phrases. Raises InputError: unfit."""
        if (codes is None) != (self.variant == "flat"):
            raise InputError("phrases", None if codes is None else "some", "phrases, unless it is flat")
        if codes is None:
            return self.action_network(inputs)
        return self.action_network(inputs, codes * self.size**0.5)

    def codes_of(self, phrases: Sequence[str]) -> Tensor:
        """[N, V] vectors of phrases; with ``words`` of any that the vocabulary knows.

        Raises:
            InputError: a phrase that is not known.
        """
        places = {phrase: i for i, phrase in enumerate(self.phrases)}
        distinct = list(dict.fromkeys(phrases))
        rows = {phrase: self._code(phrase, places) for phrase in distinct}
        return torch.stack([rows[phrase] for phrase in phrases])

    def extended(self, phrases: Sequence[str]) -> None:
        """Let the motion network say these phrases, too. Raises InputError: one that is not known."""
        new = [phrase for phrase in dict.fromkeys(phrases) if phrase not in self.phrases]
        if new:
            self.codes = torch.cat([self.codes, self.codes_of(new)])
            self.phrases = (*self.phrases, *new)

    def standardise(self, states: Array) -> None:
        """Take the mean and the deviation of states [N, size]; a number that hardly varies is left alone."""
        deviation = states.std(0)
        self.mean = torch.from_numpy(states.mean(0))
        self.deviation = torch.from_numpy(np.where(deviation > 1e-4, deviation, 1.0).astype(np.float32))

    @property
    def weights(self) -> int:
        """Numbers that are learned."""
        networks = [network for network in (self.motion_network, self.action_network) if network is not None]
        return sum(each.numel() for network in networks for each in network.parameters())

    # -- as an artifact ------------------------------------------------------------------------------------

    def settings(self) -> dict[str, Any]:
        """See ``SavablePolicy``."""
        return {
            "variant": self.variant,
            "vocabulary": None if self.vocabulary is None else self.vocabulary.settings(),
            "phrases": list(self.phrases),
            "centre": self._centre(),
            "instructions": list(self.instructions),
            "vectors": self.vectors,
            "parts": list(self.parts),
            "size": self.size,
            "head": self.head.settings(),
            "hidden": list(self.hidden),
        }

    def tensors(self) -> dict[str, Tensor]:
        """See ``SavablePolicy``."""
        networks = {"motion": self.motion_network, "action": self.action_network}
        weights = {
            f"{name}.{key}": value
            for name, network in networks.items()
            if network is not None
            for key, value in network.state_dict().items()
        }
        return {"codes": self.codes, "mean": self.mean, "deviation": self.deviation, **weights}

    @classmethod
    def restored(cls, settings: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Self:
        """See ``SavablePolicy``."""
        vocabulary = settings["vocabulary"]
        made = cls(
            settings["variant"],
            None if vocabulary is None else MotionVocabulary.restored(vocabulary),
            settings["centre"],
            settings["instructions"],
            settings["vectors"],
            settings["parts"],
            int(settings["size"]),
            head_of(settings["head"]),
            [int(width) for width in settings["hidden"]],
        )
        made.phrases = tuple(settings["phrases"])
        made.codes, made.mean, made.deviation = (tensors[name] for name in ("codes", "mean", "deviation"))
        shapes = [list(made.codes.shape), list(made.mean.shape), list(made.deviation.shape)]
        if shapes != [[len(made.phrases), made.width], [made.size], [made.size]]:
            raise InputError("codes, mean, deviation", shapes, "those of its phrases and its state")
        for name, network in (("motion.", made.motion_network), ("action.", made.action_network)):
            if network is not None:
                own = {key[len(name) :]: value for key, value in tensors.items() if key.startswith(name)}
                network.load_state_dict(own)
                network.eval()
        return made

    # -- inside --------------------------------------------------------------------------------------------

    def _centre(self) -> list[str]:
        """The phrases whose mean is taken off the vectors: those that it began with."""
        return list(self._began)

    def _first_codes(self) -> Tensor:
        self._began = self.phrases
        if self._words is not None:
            return torch.from_numpy(self._words(self.phrases))
        # Codes of length 1 in random directions: none is nearer to another than chance has it.
        rows = [_code_of(phrase, self.width) for phrase in self.phrases]
        return torch.from_numpy(np.array(rows, dtype=np.float32).reshape(len(rows), self.width))

    def _code(self, phrase: str, places: Mapping[str, int]) -> Tensor:
        if phrase in places:
            return self.codes[places[phrase]]
        if self.vocabulary is not None:
            phrase = self.vocabulary.normal(phrase)
        if phrase in places:
            return self.codes[places[phrase]]
        if self._words is None:
            raise InputError("phrase", phrase, f"one that was learned: {', '.join(self.phrases[:20])}")
        return torch.from_numpy(self._words.vector(phrase))

    def _seen(self, observations: Sequence[Mapping[str, Any]]) -> tuple[Array, list[str]]:
        """States [N, size] and instructions of observations."""
        states = np.stack([state_of(observation, self.parts) for observation in observations])
        if states.shape[1] != self.size:
            raise InputError("state", list(states.shape[1:]), f"[{self.size}], as it was trained on")
        return states, [str(observation["instruction"]) for observation in observations]


def state_of(observation: Mapping[str, Any], parts: Sequence[str]) -> Array:
    """[size] the parts of an observation side by side. Raises InputError: one is not there."""
    if missing := [name for name in parts if name not in observation]:
        raise InputError("observation", sorted(observation), f"one with {missing[0]!r}")
    return np.concatenate([np.asarray(observation[name], dtype=np.float32).reshape(-1) for name in parts])


@cache
def encoder(vectors: Vectors) -> Callable[[Sequence[str]], Array]:
    """What turns texts into vectors [texts, V], each text once; policies share it.

    Raises:
        MissingDependency: MiniLM's package is not installed.
        InputError: another name.
    """
    if vectors == "minilm":
        return TextVectors(_projected(minilm()))
    if vectors == "words":
        return TextVectors(word_means)
    raise InputError("vectors", vectors, "minilm or words")


def _projected(encode: Callable[[Sequence[str]], Array]) -> Callable[[Sequence[str]], Array]:
    """Vectors [texts, SIZE] in the place of those of ``encode``."""

    def short(texts: Sequence[str]) -> Array:
        vectors = encode(texts)
        directions = np.random.default_rng(0).standard_normal((vectors.shape[1], SIZE)) / SIZE**0.5
        return (vectors @ directions).astype(np.float32)

    return short


def _spread(vectors: Array) -> Array:
    """[V, K] from vectors of instructions [n, V] to numbers that differ as much in every direction.

    Instructions share most words, and what tells "red" from "blue" is a small part of a vector. Of one
    instruction nothing is told apart: whatever another wording of it is, it counts as the same.
    """
    if len(vectors) < 2:
        return np.zeros((vectors.shape[1], 1), np.float32)
    _, sizes, directions = np.linalg.svd(vectors, full_matrices=False)
    kept = max(1, int((sizes > 0.05 * sizes[0]).sum()))
    return (directions[:kept].T / np.maximum(sizes[:kept], 1e-6) * len(vectors) ** 0.5).astype(np.float32)


def word_means(texts: Sequence[str], size: int = SIZE) -> Array:
    """[texts, size] of length 1: the mean of a random code for each word, which is always the same."""
    means = [
        np.mean([_code_of(word, size) for word in text.lower().replace(".", " ").split() or [""]], axis=0)
        for text in texts
    ]
    return np.array([mean / max(float(np.linalg.norm(mean)), 1e-6) for mean in means], dtype=np.float32)


def _code_of(text: str, size: int) -> NDArray[np.float64]:
    """[size] a direction of its own for each text."""
    code = np.random.default_rng(zlib.crc32(text.encode())).standard_normal(size)
    return code / np.linalg.norm(code)
