"""A model by its name that is loaded when it is first called, once in each process that it is sent to."""

from __future__ import annotations

import functools
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

from biddable.models import load
from biddable.models.base import LanguageModel

if TYPE_CHECKING:
    from biddable.models.openai import ServedOptions


class LazyModel:
    """Gives the model when it is called: a resumed run reads most stages back and needs none.

    It can be pickled, as a name: a worker process loads the model for the first batch and keeps it for the
    next ones.

    Args:
        weights: what ``load_model`` takes.
        served: how a served model is asked.
    """

    def __init__(self, weights: str | Path, served: ServedOptions | None = None):
        self.weights, self.served = weights, served
        # Another object may name a folder that has been written anew since.
        self._key = secrets.token_hex(8)
        self._model: LanguageModel | None = None

    def __call__(self) -> LanguageModel:
        """The model. Raises as ``load_model``."""
        if self._model is None:
            self._model = load.load_model(self.weights, served=self.served)
        return self._model

    def __reduce__(self) -> tuple[Any, ...]:
        return _sent, (self._key, self.weights, self.served)


@functools.lru_cache(maxsize=2)  # as many models as a worker keeps
def _sent(key: str, weights: str | Path, served: ServedOptions | None) -> LazyModel:
    """The same object for every batch that a worker process is given."""
    model = LazyModel(weights, served)
    model._key = key
    return model
