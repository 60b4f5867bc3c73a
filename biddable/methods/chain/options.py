"""Options of steps, named as on the command line, where no command of the library has a class for them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from biddable.config import REQUIRED, Count, Natural, Positive, settings
from biddable.methods.training import JUDGE
from biddable.models.base import Sampling
from biddable.suites.cells import EvaluateSettings

COMPOSED = ("composed",)


@settings
class ServedSettings:
    """How a served model is asked, as on the command line."""

    timeout: Positive = 60.0
    """Seconds for one answer."""
    retries: Natural = 5
    """Further attempts."""
    concurrency: Count = 8
    """Requests at a time."""
    no_cache: bool = False
    """Neither use nor keep answers in the cache."""


@settings
class TrainSettings:
    """Options of a training beside those of its objective."""

    model: str = REQUIRED
    """What is trained."""
    data: str | None = None
    """Conversations or preferences."""
    tasks: str | None = None
    """Tasks, of grpo."""
    held_out: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """Share of the rows that is measured on."""
    judge: str = JUDGE
    """Who rewards answers, of grpo."""


@settings
class GenerateSettings(Sampling):
    """Options of ``biddable generate``."""

    prompts: str = REQUIRED
    """What to answer."""
    n: Count = 1
    """Responses to each."""
    prompt: str | None = None
    """What stands around each."""
    strip_thinking: bool = False
    """Write responses without their blocks of thinking."""
    seed: Natural = 0
    """What random draws are derived from."""


@settings
class EvalSettings(EvaluateSettings):
    """Options of ``biddable eval``."""

    suite: str | tuple[str, ...] = COMPOSED
    """On what, one or several."""
    baseline: str | None = None
    """Whom the others are compared with."""

    @property
    def suites(self) -> tuple[str, ...]:
        """The suites, where one is named as well."""
        return (self.suite,) if isinstance(self.suite, str) else tuple(self.suite)
