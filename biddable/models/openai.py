"""Any model behind an OpenAI-compatible chat endpoint: hosted, or vLLM, llama.cpp, Ollama … of one's own."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import os
import re
from collections.abc import Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import httpx

from biddable.errors import EndpointError, InputError
from biddable.models.base import GREEDY, Sampling, TokenScores
from biddable.models.cache import ResponseCache
from biddable.models.chat import messages
from biddable.models.endpoint import Endpoint, RefusedError
from biddable.models.seeds import row_seeds, sample_seed
from biddable.runs.files import cache_folder
from biddable.runs.progress import progress
from biddable.types import Chat, FinishReason, Response

logger = logging.getLogger(__name__)

NEUTRAL: dict[str, Any] = {"top_k": 0, "min_p": 0.0, "logprobs": True, "top_logprobs": 1}
"""Fields that are sent although not every server takes them, and the value at which they may be left out.

Left to themselves servers filter: llama.cpp to the 40 likeliest tokens of at least 5 % of the best
one's probability, vLLM as the model's own generation config says. ``Sampling`` promises no filter
unless asked for, so the filters are switched off in so many words.
"""

T = TypeVar("T")


def parse_spec(spec: str) -> OpenAIModel:
    """The model that ``openai:NAME@URL`` names; its responses are kept in the cache folder.

    Raises:
        InputError: the text has another form, or the URL cannot be used.
    """
    match = re.fullmatch(r"openai:(.+)@(https?://\S+)", spec)
    if match is None:
        raise InputError("model", _without_secrets(spec), "openai:NAME@URL with an http:// or https:// URL")
    return OpenAIModel(match[1], match[2], cache=cache_folder() / "responses")


class OpenAIModel:
    """A served model.

    Every response is a request of its own, with its own seed, rather than one request with ``n``:
    the seed of a single choice among ``n`` is the server's business (many ignore ``n``; llama.cpp
    gives choice ``i`` of seed ``s`` the seed ``s + i``, so that neighbouring rows would share
    responses), and a response that stands alone can be kept alone and asked for again alone.

    Seeds make runs repeatable only as far as the server honours them; the cache makes them so anyway.

    Args:
        name: what the server calls the model.
        url: the server's address, with or without ``/v1``.
        api_key: sent to ``url`` and nowhere else; the environment variable ``OPENAI_API_KEY`` when None.
        timeout_s: seconds that one attempt at one response may take.
        retries: further attempts after one that failed in a way that may pass.
        concurrency: how many requests are under way at a time.
        cache: folder to keep responses in; None keeps none.
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
        self._endpoint = Endpoint(base_url(url), _usable_key(api_key), timeout_s, retries, backoff_s)
        self._concurrency = concurrency
        self._cache = ResponseCache(cache) if cache is not None else None
        self._refused_fields: set[str] = set()

    def generate(
        self,
        chats: Sequence[Chat],
        *,
        n: int = 1,
        sampling: Sampling = GREEDY,
        seeds: Sequence[int] | None = None,
    ) -> list[list[Response]]:
        """``n`` responses to each chat, in order; ``seeds`` holds one integer per chat (default 0, 1, …).

        ``logprobs`` are filled where the server gives them; ``token_ids`` stay empty, as the
        tokenizer is the server's. A request that the server refuses does not stop the others; a server
        that fails stops the batch. Either way the responses that came are in the cache, so calling
        again goes on from there.

        Raises:
            EndpointError: a response is missing, and why.
            InputError: ``n`` or ``seeds`` cannot be used.
        """
        bodies = [
            self._body(chat, sampling, sample_seed(seed, sample))
            for chat, seed in zip(chats, row_seeds(chats, n, seeds), strict=True)
            for sample in range(n)
        ]
        answers = _run(self._answer_all(bodies)) if bodies else []
        responses = [answer for answer in answers if isinstance(answer, Response)]
        if refusals := [answer for answer in answers if isinstance(answer, RefusedError)]:
            raise EndpointError(f"{refusals[0]} ({len(refusals)} of {len(answers)} requests were refused)")
        return [responses[i : i + n] for i in range(0, len(responses), n)]

    def score(self, chats: Sequence[Chat], continuations: Sequence[str]) -> list[TokenScores]:
        """Not possible here, and said so rather than approximated.

        Chat endpoints do not score given text. The older ``/completions`` route with ``echo`` is no way
        out: it bypasses the model's chat template, and servers that take the argument without
        honouring it (llama.cpp) would have us read the scores of other tokens.

        Raises:
            InputError: always.
        """
        expected = (
            "a model whose weights are here (a folder, a hub name, vllm:NAME): this method scores given text"
        )
        raise InputError("model", f"openai:{self.name}@{self._endpoint.url}", expected)

    def _body(self, chat: Chat, sampling: Sampling, seed: int) -> dict[str, Any]:
        body = NEUTRAL | {
            "model": self.name,
            "messages": messages(chat),
            "max_tokens": sampling.max_tokens,
            "temperature": sampling.temperature,
            "top_k": sampling.top_k,
            "top_p": sampling.top_p,
            "seed": seed,
        }
        return body | {"stop": list(sampling.stop)} if sampling.stop else body

    async def _answer_all(self, bodies: Sequence[dict[str, Any]]) -> list[Response | RefusedError]:
        free = asyncio.Semaphore(self._concurrency)
        with progress(len(bodies), f"asking {self.name}") as advance:

            async def answer(body: dict[str, Any]) -> Response | RefusedError:
                async with free:
                    try:
                        return await self._answer(client, body)
                    except RefusedError as refusal:
                        return refusal
                    finally:
                        advance(1)

            try:
                async with self._endpoint.client() as client, asyncio.TaskGroup() as group:
                    tasks = [group.create_task(answer(body)) for body in bodies]
            except ExceptionGroup as failures:
                raise failures.exceptions[0] from None
        return [task.result() for task in tasks]

    async def _answer(self, client: httpx.AsyncClient, body: dict[str, Any]) -> Response:
        if self._cache is None:
            return await self._ask(client, body)
        request = {"url": self._endpoint.url, **body}
        response = self._cache.get(request)
        if response is None:
            response = await self._ask(client, body)
            # Waiting for the disk must not keep the other requests waiting.
            await asyncio.to_thread(self._cache.put, request, response)
        return response

    async def _ask(self, client: httpx.AsyncClient, body: dict[str, Any]) -> Response:
        """Post ``body``, less the neutral fields this server has been found to refuse."""
        neutral = {name for name, value in NEUTRAL.items() if body[name] == value}
        while True:
            left_out = neutral & self._refused_fields
            sent = {name: value for name, value in body.items() if name not in left_out}
            try:
                return await self._endpoint.post(client, "/chat/completions", sent, parse_completion)
            except RefusedError as refusal:
                named = {name for name in neutral - left_out if name in str(refusal)}
                if not named:
                    raise
                if new := sorted(named - self._refused_fields):
                    fields = ", ".join(new)
                    logger.warning("%s does not take %s and goes by its own default", self.name, fields)
                self._refused_fields |= named


def base_url(url: str) -> str:
    """The address that ``/chat/completions`` is appended to: with ``/v1``, unless the path has a version.

    Raises:
        InputError: it is no http(s) URL, or it holds what an address should not (a password, a query).
    """
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        parsed = httpx.URL("")
    address = parsed.scheme in {"http", "https"} and parsed.host and 0 < (parsed.port or 80) < 2**16
    if not address or parsed.userinfo or parsed.query or parsed.fragment:
        raise InputError(
            "url", _without_secrets(url), "http(s)://HOST[:PORT][/PATH] without user, query or fragment"
        )
    path = parsed.path.rstrip("/").removesuffix("/chat/completions")
    return str(parsed.copy_with(path=path if re.search(r"/v[0-9]", path) else path + "/v1"))


def parse_completion(body: bytes) -> Response:
    """The response in a chat completion. Raises ValueError for anything that is not one."""
    try:
        choice = json.loads(body)["choices"][0]
        text = choice["message"]["content"]
        tokens = (choice.get("logprobs") or {}).get("content") or ()
        logprobs = tuple(float(token["logprob"]) for token in tokens)
        finish = choice.get("finish_reason")
    except (LookupError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError(f"no chat completion: {type(error).__name__} {error}") from error
    if not isinstance(text, str | None) or any(map(math.isnan, logprobs)):
        raise ValueError("no chat completion: the content is not text, or a logprob not a number")
    finish_reason: FinishReason = finish if finish in ("stop", "length") else "error"
    return Response(_whole_characters(text or ""), (), logprobs, finish_reason)


def _whole_characters(text: str) -> str:
    """``text`` with U+FFFD for half characters, which JSON can hold and no file or terminal can."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _usable_key(api_key: str | None) -> str | None:
    key = (os.environ.get("OPENAI_API_KEY", "") if api_key is None else api_key).strip()
    # Checked here because the errors of the layers below would quote it.
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise InputError("api_key", "(not shown)", "printable ASCII without spaces")
    return key or None


def _without_secrets(url: str) -> str:
    return re.sub(r"\?.*", "?***", re.sub(r"//.*@", "//***@", url))


def _run(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end, also where a loop already runs in this thread, as in a notebook."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()
