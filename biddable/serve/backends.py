"""Who answers: our engine, whose batch requests join, or any other model, which takes one after the other.

Both compute in threads of their own, so that HTTP is answered meanwhile; what they draw comes back to the
event loop.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, Protocol

from biddable.errors import EndpointError, said
from biddable.models.base import LanguageModel, Sampling
from biddable.models.batch import Completion
from biddable.models.choices import choose
from biddable.models.decode_layers import DecodeLayers
from biddable.models.local import LocalModel, local_sample_seed
from biddable.models.stream import Drawn, Job, Stream
from biddable.serve.text import GrowingText
from biddable.types import FinishReason, Prompt, Response


class FailedError(Exception):
    """A request came to nothing through no fault of its own; ``status`` is that of HTTP."""

    def __init__(self, problem: str, status: int = 500):
        super().__init__(problem)
        self.status = status


def stopping() -> FailedError:
    """What becomes of requests that are under way when the time to finish them is over."""
    return FailedError("the server is shutting down", 503)


@dataclass(frozen=True, slots=True)
class Token:
    """A token of a response as text, with its log-probability and the likeliest ones of its step."""

    text: str
    logprob: float
    top: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Part:
    """What is new of a choice.

    Attributes:
        choice: its index among those of the request.
        text: what is sure to follow in its text.
        count: how many tokens were drawn.
        tokens: those tokens, where they are asked for.
        finish: None while it goes on.
        whole: its whole text, where it is finished.
    """

    choice: int
    text: str
    count: int = 0
    tokens: tuple[Token, ...] = ()
    finish: FinishReason | None = None
    whole: str = ""


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be done for a request: ``sampling`` with the longest response that it may have.

    Attributes:
        encoded: token ids of each prompt; empty where the model tells none.
        seed: what the seeds of all choices follow from.
        logprobs: whether tokens are asked for, ``top`` of them at each step.
        growing: whether text is wanted as it comes.
        seconds: how long it may take.
    """

    prompts: tuple[Prompt, ...]
    encoded: tuple[Sequence[int], ...]
    n: int
    sampling: Sampling
    seed: int
    logprobs: bool
    top: int
    growing: bool
    seconds: float

    @property
    def rows(self) -> int:
        """How many responses that are."""
        return len(self.prompts) * self.n


class Backend(Protocol):
    """Who answers.

    Attributes:
        rows: how many responses are computed at a time.
        joins: whether requests join those that are under way; then it tells the likeliest tokens, too.
    """

    rows: int
    joins: bool

    def start(self) -> None:
        """Begin; called in the event loop."""

    def stop(self) -> None:
        """End, also what is under way."""

    def ended(self, seconds: float) -> bool:
        """Whether its threads are over after at most so many seconds; called once the event loop is."""

    def parts(self, work: Work) -> AsyncGenerator[Part]:
        """What comes of a request, until all its choices are finished; closed early, its rows are freed."""

    def facts(self) -> dict[str, Any]:
        """What to tell of the work under way."""


class Inbox:
    """Where what is computed for a request arrives; an exception among it is raised.

    Args:
        seconds: how long after now something may arrive.
    """

    def __init__(self, seconds: float):
        self._loop = asyncio.get_running_loop()
        self._ends = self._loop.time() + seconds
        self._items: asyncio.Queue[Any] = asyncio.Queue()

    def put(self, item: Any) -> None:
        """From the event loop's thread."""
        self._items.put_nowait(item)

    def put_from_thread(self, item: Any) -> None:
        """From any other."""
        _tell(self._loop, self.put, item)

    async def get(self) -> Any:
        """What arrived next. Raises FailedError: nothing did in time."""
        try:
            async with asyncio.timeout_at(self._ends):
                item = await self._items.get()
        except TimeoutError:
            raise FailedError("the answer took longer than the server allows (--timeout)", 504) from None
        if isinstance(item, Exception):
            raise item
        return item


class Joining:
    """Our engine: requests join the rows that decode.

    Args:
        model: whose weights ``stream`` draws with; it is not to be used for anything else meanwhile.
        stream: owned by one thread from ``start`` on.
    """

    joins = True

    def __init__(self, model: LocalModel, stream: Stream):
        self.model, self.stream, self.rows = model, stream, stream.rows.capacity
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._inboxes: dict[Job, Inbox] = {}
        self._thread = threading.Thread(target=self._compute, name="engine", daemon=True)

    def start(self) -> None:
        """See ``Backend``."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    def stop(self) -> None:
        """See ``Backend``."""
        self._calls.put(None)
        self._fail_all(stopping())

    def ended(self, seconds: float) -> bool:
        """See ``Backend``."""
        self._calls.put(None)
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def facts(self) -> dict[str, Any]:
        """See ``Backend``."""
        stream = self.stream
        return {
            "alive": self._thread.is_alive(),
            "rows": self.rows,
            "active": stream.rows.active,
            "most": stream.most,
            "tokens": stream.drawn,
        }

    async def parts(self, work: Work) -> AsyncGenerator[Part]:
        """See ``Backend``."""
        if not self._thread.is_alive():
            raise FailedError("the engine has stopped: the server must be started again", 503)
        inbox = Inbox(work.seconds)
        jobs: dict[Job, int] = {}  # with the index of their first choice
        for encoded in work.encoded:
            first = len(jobs) * work.n
            seeds = [local_sample_seed(work.seed, first + sample) for sample in range(work.n)]
            jobs[Job(encoded, seeds, work.sampling, work.top)] = first
        choices = [_Choice(self.model, self.stream, work) for _ in range(work.rows)]
        try:
            for job in jobs:
                self._inboxes[job] = inbox
                self._calls.put(partial(self.stream.add, job))
            left = work.rows
            while left:
                event = await inbox.get()
                if event.error:
                    raise FailedError(event.error)
                index = jobs[event.job] + event.sample
                left -= event.finish is not None
                yield choices[index].part(index, event)
        finally:
            for job in jobs:
                self._inboxes.pop(job, None)
                self._calls.put(partial(self.stream.drop, job))

    def _compute(self) -> None:
        """What the thread does."""
        try:
            with self.stream.running() as layers:
                self._serve(layers)
        except Exception as error:  # nobody else would hear of it
            problem = FailedError(f"the engine has stopped: {said(error)}", 503)
            _tell(self._loop, self._fail_all, problem)

    def _serve(self, layers: DecodeLayers) -> None:
        """Take what is asked, compute a step, hand out what it drew; until None is asked."""
        while True:
            try:
                while (call := self._calls.get(block=not self.stream.busy)) is not None:
                    call()
                return
            except Empty:
                pass
            if events := self.stream.step(layers):
                _tell(self._loop, self._deliver, events)

    def _fail_all(self, problem: FailedError) -> None:
        for inbox in set(self._inboxes.values()):
            inbox.put(problem)

    def _deliver(self, events: Sequence[Drawn]) -> None:
        for event in events:
            if inbox := self._inboxes.get(event.job):
                inbox.put(event)


class _Choice:
    """A choice as its tokens come."""

    def __init__(self, model: LocalModel, stream: Stream, work: Work):
        self._model, self._work = model, work
        self._ids: list[int] = []
        self._logprobs: list[float] = []
        self._text = GrowingText(stream.decoder.decode, work.sampling.stop)

    def part(self, index: int, event: Drawn) -> Part:
        """What is new with one more token."""
        self._ids.append(event.token)
        self._logprobs.append(event.logprob)
        tokens = (self._token(event),) if self._work.logprobs else ()
        if event.finish is None:
            text = self._text.add(event.token) if self._work.growing else ""
            return Part(index, text, 1, tokens)
        drawn = Completion(tuple(self._ids), tuple(self._logprobs), event.finish == "stop")
        whole = self._model.response(drawn, self._work.sampling).text
        return Part(index, self._text.end(event.token, whole), 1, tokens, event.finish, whole)

    def _token(self, event: Drawn) -> Token:
        # The drawn token's number is the one that its draw gave, where it is told twice.
        top = [(token, event.logprob if token == event.token else value) for token, value in event.top]
        told = tuple((_spelt(self._model, token), value) for token, value in top)
        return Token(_spelt(self._model, event.token), event.logprob, told)


class Alone:
    """Any other model: requests are computed one after the other, and a text comes as a whole.

    Args:
        model: a model on the plain path, or one that is served elsewhere.
        rows: how many requests are computed at a time.
        choices: answers are the likeliest of these; empty: what the model writes.
    """

    joins = False

    def __init__(self, model: LanguageModel, rows: int, choices: Sequence[str] = ()):
        self.model, self.rows, self.choices = model, rows, choices
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._inboxes: set[Inbox] = set()
        self._active: set[int] = set()
        self._tokens = 0
        self._threads = [threading.Thread(target=self._compute, daemon=True) for _ in range(rows)]

    def start(self) -> None:
        """See ``Backend``."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """See ``Backend``."""
        for inbox in self._inboxes:
            inbox.put(stopping())

    def ended(self, seconds: float) -> bool:
        """See ``Backend``."""
        self._inboxes.clear()  # what waits is not begun
        for _ in self._threads:
            self._calls.put(None)
        ends = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, ends - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def facts(self) -> dict[str, Any]:
        """See ``Backend``."""
        active, tokens = len(self._active), self._tokens
        return {"alive": True, "rows": self.rows, "active": active, "tokens": tokens}

    async def parts(self, work: Work) -> AsyncGenerator[Part]:
        """See ``Backend``."""
        inbox = Inbox(work.seconds)
        self._inboxes.add(inbox)
        try:
            for place in range(len(work.prompts)):
                self._calls.put(partial(self._answer, work, place, inbox))
                for sample, response in enumerate(await inbox.get()):
                    yield self._part(place * work.n + sample, response, work)
        finally:
            self._inboxes.discard(inbox)

    def _compute(self) -> None:
        while (call := self._calls.get()) is not None:
            call()

    def _answer(self, work: Work, place: int, inbox: Inbox) -> None:
        """In a thread: all responses to one of a request's prompts, unless nobody waits any more."""
        if inbox not in self._inboxes:
            return
        seed = local_sample_seed(work.seed, place * work.n)
        self._active.add(threading.get_ident())
        try:
            prompt = work.prompts[place]
            if self.choices:
                responses = choose(self.model, [prompt], self.choices)
            else:
                how = work.sampling
                [responses] = self.model.generate([prompt], n=work.n, sampling=how, seeds=[seed])
            failed = next((response.error for response in responses if response.error), "")
            status = 500 if isinstance(self.model, LocalModel) else 502
            inbox.put_from_thread(FailedError(failed, status) if failed else responses)
        except EndpointError as error:
            inbox.put_from_thread(FailedError(str(error), 502))
        except Exception as error:
            inbox.put_from_thread(error)
        finally:
            self._active.discard(threading.get_ident())

    def _part(self, index: int, response: Response, work: Work) -> Part:
        count = len(response.token_ids or response.logprobs)
        if self.choices and isinstance(self.model, LocalModel):
            count = len(self.model.encode_text(response.text))
        self._tokens += count
        tokens: tuple[Token, ...] = ()
        if work.logprobs and isinstance(self.model, LocalModel):
            drawn = zip(response.token_ids, response.logprobs, strict=True)
            tokens = tuple(Token(_spelt(self.model, token), logprob) for token, logprob in drawn)
        return Part(index, response.text, count, tokens, response.finish_reason, response.text)


def _tell(loop: asyncio.AbstractEventLoop, call: Callable[..., None], *what: Any) -> None:
    """Let an event loop call something, from another thread."""
    with suppress(RuntimeError):  # the loop is closed: nobody waits any more
        loop.call_soon_threadsafe(call, *what)


def _spelt(model: LocalModel, token: int) -> str:
    return str(model.tokenizer.decode([token], skip_special_tokens=False))
