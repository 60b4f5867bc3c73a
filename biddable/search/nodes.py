"""The trees that a search leaves behind: plain data, written to JSON and read back without loss."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(eq=False, slots=True)
class RefinementNode:
    """A response in a tree of rewritings.

    Attributes:
        response: the text that counts.
        critique: what its judge says of it.
        value: how good it is, higher is better: the score of its judge's verdict.
        depth: rewritings between the root and it.
        parent: what it was rewritten from; None for a root.
        children: its rewritings, in the order they were made.
        refinement: the refiner's whole text, of which ``response`` is a part.
    """

    response: str
    critique: str = ""
    value: float = 0.0
    depth: int = 0
    parent: RefinementNode | None = field(default=None, repr=False)
    children: list[RefinementNode] = field(default_factory=list, repr=False)
    refinement: str = field(default="", repr=False)

    def add(self, response: str, critique: str, value: float, refinement: str = "") -> RefinementNode:
        """A new last child."""
        child = RefinementNode(response, critique, value, self.depth + 1, self, refinement=refinement)
        self.children.append(child)
        return child

    def walk(self) -> Iterator[RefinementNode]:
        """This node and all below it in pre-order: parents first, children in order."""
        yield self
        for child in self.children:
            yield from child.walk()

    @property
    def path(self) -> tuple[int, ...]:
        """Which child to take at each level to come here from the root."""
        return (*self.parent.path, self.parent.children.index(self)) if self.parent else ()

    def at(self, path: Sequence[int]) -> RefinementNode:
        """The node that ``path`` leads to from here."""
        return self.children[path[0]].at(path[1:]) if path else self

    def to_dict(self) -> dict[str, Any]:
        """The subtree as JSON data."""
        return {
            "response": self.response,
            "critique": self.critique,
            "value": self.value,
            "depth": self.depth,
            "refinement": self.refinement,
            "children": [child.to_dict() for child in self.children],
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any], parent: RefinementNode | None = None) -> RefinementNode:
        """The subtree that ``to_dict`` wrote."""
        plain = {name: data[name] for name in ("response", "critique", "value", "depth", "refinement")}
        node = cls(**plain, parent=parent)
        node.children = [cls.from_dict(child, node) for child in data["children"]]
        return node


@dataclass(frozen=True, slots=True)
class SearchResult:
    """How one tree ended.

    Attributes:
        best: the node that solves the tree (see ``SearchSettings.threshold``); in an unsolved tree the last
            of the highest-valued nodes in pre-order.
        root: the tree.
        expansions: how many children were made.
        solved: whether a node solves the tree.
    """

    best: RefinementNode
    root: RefinementNode
    expansions: int
    solved: bool

    @property
    def refined(self) -> bool:
        """Whether ``best`` is a rewriting; false where it is the root."""
        return self.best is not self.root

    def to_dict(self) -> dict[str, Any]:
        """The result as JSON data, ``best`` as its path."""
        return {
            "root": self.root.to_dict(),
            "best": list(self.best.path),
            "expansions": self.expansions,
            "solved": self.solved,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> SearchResult:
        """The result that ``to_dict`` wrote."""
        root = RefinementNode.from_dict(data["root"])
        return cls(root.at(data["best"]), root, data["expansions"], data["solved"])
