"""Any model behind an OpenAI-compatible endpoint: hosted, or vLLM, llama.cpp, Ollama … of one's own."""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import httpx

from biddable.errors import EndpointError, InputError
from biddable.models.address import base_url, chat_url, text_url, without_secrets
from biddable.models.base import GREEDY, NoScoresError, Sampling, TokenScores
from biddable.models.cache import ResponseCache
from biddable.models.chat import messages, require_prompt, require_text
from biddable.models.completions import identifying, parse_completion
from biddable.models.echo import echo_request, parse_echo
from biddable.models.endpoint import Endpoint, NoAnswerError, NoRouteError, RefusedError
from biddable.models.fields import NEUTRAL, Change, changes
from biddable.models.identity import CANARY_TOKENS, Asked, identity
from biddable.models.seeds import require_one_each, row_seeds, sample_seed
from biddable.runs.files import cache_folder
from biddable.runs.progress import progress
from biddable.types import Prompt, Response

logger = logging.getLogger(__name__)
unanswered = logging.getLogger(f"{__name__}.unanswered")  # a command that names them itself turns it off

FAILED_IN_ROW = 5
"""Requests in a row without an answer, after which a plain one shows whether there is any to be had."""

PLAIN_REQUEST = "Say hello."
"""What a server answers that answers at all."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ServedOptions:
    """How a served model is asked: see ``OpenAIModel``. ``cache``: are answers kept and used again."""

    timeout_s: float = 60.0
    retries: int = 5
    concurrency: int = 8
    cache: bool = True


def parse_spec(spec: str, options: ServedOptions | None = None) -> OpenAIModel:
    """The model that ``openai:NAME@URL`` names; its responses are kept in the cache folder.

    Raises:
        InputError: the text has another form, or the URL or an option cannot be used.
    """
    match = re.fullmatch(r"openai:(.+)@(https?://\S+)", spec)
    if match is None:
        raise InputError("model", without_secrets(spec), "openai:NAME@URL with an http:// or https:// URL")
    how = asdict(options or ServedOptions())
    folder = cache_folder() / "responses" if how.pop("cache") else None
    return OpenAIModel(match[1], match[2], cache=folder, **how)


class OpenAIModel:
    """A served model.

    Every response is a request of its own, with its own seed, rather than one request with ``n``:
    the seed of a single choice among ``n`` is the server's business (many ignore ``n``; llama.cpp
    gives choice ``i`` of seed ``s`` the seed ``s + i``, so that neighbouring rows would share
    responses), and a response that stands alone can be kept alone and asked for again alone.

    Seeds make runs repeatable only as far as the server honours them; the cache makes them so anyway.

    Args:
        name: what the server calls the model.
        url: the server's address, with or without ``/v1``; one with ``/chat/completions`` as it is.
        api_key: sent to ``url`` and nowhere else; the environment variable ``OPENAI_API_KEY`` when None.
        timeout_s: seconds that one attempt at one response may take.
        retries: further attempts after one that failed in a way that may pass.
        concurrency: how many requests are under way at a time.
        cache: folder to keep responses in; None keeps none. What is kept there is used again where the model
            is found to be the same (``biddable.models.identity``).
        backoff_s: see ``Endpoint``.

    Raises:
        InputError: an argument cannot be used.
    """

    def __init__(
        self,
        name: str,
        url: str,
        *,
        api_key: str | None = None,
        timeout_s: float = 60.0,
        retries: int = 5,
        concurrency: int = 8,
        cache: Path | None = None,
        backoff_s: float = 0.5,
    ):
        if not 0 < timeout_s < float("inf"):
            raise InputError("timeout_s", timeout_s, "a number of seconds above 0")
        if retries < 0:
            raise InputError("retries", retries, "an integer of at least 0")
        if concurrency < 1:
            raise InputError("concurrency", concurrency, "an integer of at least 1")
        self.name = name
        self._endpoint = Endpoint(
            base_url(url), chat_url(url), text_url(url), _usable_key(api_key), timeout_s, retries, backoff_s
        )
        self._concurrency = concurrency
        self._cache = ResponseCache(cache) if cache is not None else None
        self._changes: dict[str, Change] = {}
        self._identities: dict[str, str] = {}  # by the address that is asked
        self._kept_here: set[str] = set()
        self._failed_in_row = 0

    def generate(
        self,
        prompts: Sequence[Prompt],
        *,
        n: int = 1,
        sampling: Sampling = GREEDY,
        seeds: Sequence[int] | None = None,
    ) -> list[list[Response]]:
        """``n`` responses to each prompt, in order; ``seeds`` holds one integer for each (default 0, 1, …).

        Raw text goes to the server's route for it, ``/completions``, which not every server has.
        ``logprobs`` are filled where the server gives them; ``token_ids`` stay empty, as the
        tokenizer is the server's. A request that gets no answer does not end the others: its response is
        empty and its ``error`` says why. The responses that came are in the cache, so calling again goes
        on from there.

        Raises:
            EndpointError: the server is at fault: it cannot be reached or refuses us, or it answers neither
                these requests nor a plain one.
            InputError: ``n`` or ``seeds`` cannot be used.
        """
        bodies = [
            self._body(prompt, sampling, sample_seed(seed, sample))
            for prompt, seed in zip(prompts, row_seeds(prompts, n, seeds), strict=True)
            for sample in range(n)
        ]
        responses = _run(self._answer_all(bodies)) if bodies else []
        if errors := [response.error for response in responses if response.error]:
            counted = f"{len(errors)} of {len(responses)} requests to {self.name} got no answer"
            unanswered.warning("%s; the first: %s", counted, errors[0])
        return [responses[i : i + n] for i in range(0, len(responses), n)]

    def score(
        self, prompts: Sequence[Prompt], continuations: Sequence[str], *, end: bool = True
    ) -> list[TokenScores]:
        """See ``LanguageModel.score``: after raw text only, without the end, and where the server can.

        The server is asked to repeat the text with its log-probabilities (``echo``), and the tokens that come
        back are held against what was sent: servers take the argument without honouring it (llama.cpp).
        Servers tell no token ids. After a chat nothing can be scored: what is repeated would bypass the chat
        template.

        Raises:
            NoScoresError: the server gives no such log-probabilities.
            EndpointError: it cannot be reached, or does not answer.
        """
        require_one_each("continuations", continuations, prompts)
        pairs: list[tuple[str, str]] = []
        for prompt, text in zip(prompts, continuations, strict=True):
            require_prompt("prompt", prompt)
            require_text("continuation", text)
            if end or not isinstance(prompt, str):
                problem = "a served model gives no log-probabilities of given text"
                where = "with the end of the turn (end=False leaves it out)" if end else "after a chat"
                raise NoScoresError(f"openai:{self.name}@{self._endpoint.url}: {problem} {where}")
            pairs.append((prompt, text))
        return _run(self._score_all(pairs)) if pairs else []

    async def _score_all(self, pairs: Sequence[tuple[str, str]]) -> list[TokenScores]:
        free = asyncio.Semaphore(self._concurrency)
        with progress(len(pairs), f"asking {self.name}") as advance:

            async def score(prompt: str, text: str) -> TokenScores:
                async with free:
                    body = echo_request(self.name, prompt, text)
                    read = partial(parse_echo, prompt=prompt, continuation=text)
                    scores = await self._endpoint.post(client, body, read)
                    advance(1)
                    return scores

            try:
                async with self._endpoint.client() as client:
                    first = await score(*pairs[0])  # before many are sent in vain
                    async with asyncio.TaskGroup() as group:
                        rest = [group.create_task(score(*pair)) for pair in pairs[1:]]
            except ExceptionGroup as raised:
                raise raised.exceptions[0] from None
            except (NoRouteError, RefusedError) as error:
                raise NoScoresError(str(error)) from None
            except NoScoresError as error:
                raise NoScoresError(f"openai:{self.name}@{self._endpoint.url}: {error}") from None
        return [first, *(task.result() for task in rest)]

    def _body(self, prompt: Prompt, sampling: Sampling, seed: int) -> dict[str, Any]:
        body = NEUTRAL | {
            "model": self.name,
            "max_tokens": sampling.max_tokens,
            "temperature": sampling.temperature,
            "top_k": sampling.top_k,
            "top_p": sampling.top_p,
            "seed": seed,
        }
        if isinstance(prompt, str):
            require_prompt("prompt", prompt)
            del body["top_logprobs"]
            body |= {"prompt": prompt, "logprobs": 1}  # a number, in the older of the two routes
        else:
            body["messages"] = messages(prompt)
        return body | {"stop": list(sampling.stop)} if sampling.stop else body

    async def _answer_all(self, bodies: Sequence[dict[str, Any]]) -> list[Response]:
        free, checking = asyncio.Semaphore(self._concurrency), asyncio.Lock()
        failures: list[NoAnswerError] = []
        from_cache, alive = 0, False
        with progress(len(bodies), f"asking {self.name}") as advance:

            async def answer(body: dict[str, Any]) -> Response:
                nonlocal from_cache, alive
                async with free:
                    try:
                        response, kept = await self._answer(client, body)
                        from_cache += kept
                        alive = True
                        return response
                    except NoAnswerError as failure:
                        failures.append(failure)
                        self._failed_in_row += 1
                        async with checking:
                            of_us = isinstance(failure, RefusedError) and failure.of_us
                            if self._failed_in_row >= FAILED_IN_ROW or (of_us and not alive):
                                await self._require_alive(client, body, failures, len(bodies))
                                alive = True
                        return Response("", finish_reason="error", error=failure.said)
                    finally:
                        advance(1)

            try:
                async with self._endpoint.client() as client:
                    if self._cache is not None:
                        await self._identify(client, self._cache.folder, bodies)
                    async with asyncio.TaskGroup() as group:
                        tasks = [group.create_task(answer(body)) for body in bodies]
                    if not alive:
                        await self._require_alive(client, bodies[0], failures, len(bodies))
            except ExceptionGroup as raised:
                raise raised.exceptions[0] from None
        if from_cache:
            where = "came from the cache, where an earlier call kept them (--no-cache asks for all anew)"
            logger.warning("%d of %d answers of %s %s", from_cache, len(bodies), self.name, where)
        return [task.result() for task in tasks]

    async def _require_alive(
        self, client: httpx.AsyncClient, body: dict[str, Any], failures: Sequence[NoAnswerError], asked: int
    ) -> None:
        """Tell requests that are at fault from a server that is: it answers a plain request, or it is.

        Raises:
            EndpointError: it does not, in the words of the first failure.
        """
        try:
            await self._ask(client, _with_prompt(body, PLAIN_REQUEST), parse_completion, retries=0)
        except EndpointError:
            counted = f" ({len(failures)} of {asked} requests failed, and so did a plain one)"
            raise EndpointError(f"{failures[0]}{counted if asked > 1 else ''}") from None
        self._failed_in_row = 0

    async def _identify(
        self, client: httpx.AsyncClient, folder: Path, bodies: Sequence[dict[str, Any]]
    ) -> None:
        """Find out which model answers at each address that is asked."""
        how = Sampling(max_tokens=CANARY_TOKENS, temperature=0.0)

        async def ask(prompt: Asked) -> tuple[str, str, str]:
            if isinstance(prompt, str):
                body = self._body(prompt, how, 0)
            else:
                body = self._body((), how, 0) | {"messages": prompt}
            return await self._ask(client, body, identifying, retries=min(1, self._endpoint.retries))

        prompts: dict[str, list[Asked]] = {}
        for body in bodies:
            asked = body["prompt"] if "prompt" in body else body["messages"]
            prompts.setdefault(self._endpoint.url_for(body), []).append(asked)
        for url in prompts.keys() - self._identities.keys():
            self._identities[url] = await identity(
                self._endpoint, client, self.name, folder, url, prompts[url], ask
            )

    async def _answer(self, client: httpx.AsyncClient, body: dict[str, Any]) -> tuple[Response, bool]:
        """The response, and whether an earlier model object kept it."""
        if self._cache is None:
            return await self._ask(client, body, parse_completion), False
        url = self._endpoint.url_for(body)
        request = {"url": url, "identity": self._identities[url], **body}
        place = self._cache.place(request)
        response = self._cache.get(request)
        if response is not None:
            return response, place not in self._kept_here
        response = await self._ask(client, body, parse_completion)
        if not response.error:
            self._kept_here.add(place)
            # Waiting for the disk must not keep the other requests waiting.
            await asyncio.to_thread(self._cache.put, request, response)
        return response, False

    async def _ask(
        self,
        client: httpx.AsyncClient,
        body: dict[str, Any],
        read: Callable[[bytes], T],
        *,
        retries: int | None = None,
    ) -> T:
        """Post ``body``, with the changes that this server has been found to want."""
        made = {name: change for name, change in self._changes.items() if change.fits(body)}
        while True:
            sent = body
            for change in made.values():
                sent = change.apply(sent)
            try:
                answer = await self._endpoint.post(client, sent, read, retries=retries)
            except RefusedError as refusal:
                wanted = changes(refusal.answer, sent, body)
                if all(made.get(name) == change for name, change in wanted.items()):
                    raise
                made |= wanted
                continue
            self._failed_in_row = 0
            for name, change in made.items():  # now that they are known to help
                if self._changes.get(name) != change:
                    self._changes[name] = change
                    if note := change.note():
                        logger.warning("%s %s", self.name, note)
            return answer


def _usable_key(api_key: str | None) -> str | None:
    key = (os.environ.get("OPENAI_API_KEY", "") if api_key is None else api_key).strip()
    # Checked here because the errors of the layers below would quote it.
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise InputError("api_key", "(not shown)", "printable ASCII without spaces")
    return key or None


def _run(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end, also where a loop already runs in this thread, as in a notebook."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


def _with_prompt(body: Mapping[str, Any], text: str) -> dict[str, Any]:
    """The request with another prompt of one turn, of the same kind."""
    if "prompt" in body:
        return {**body, "prompt": text}
    return {**body, "messages": [{"role": "user", "content": text}]}
