"""The server as its users meet it: real clients, the real SmolLM2, a process of its own."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from click.testing import CliRunner

from biddable.cli import main
from biddable.models.base import Sampling
from biddable.models.load import load_model
from biddable.models.openai import OpenAIModel
from biddable.types import Check, Task, user

FRANCE = "What is the capital of France?"
COLOURS = "Name three colours."


@pytest.fixture(scope="module")
def smollm2_here(smollm2_server):
    """The same model in this process, in the precision that the server takes."""
    return load_model("smollm2")


@pytest.fixture(scope="module")
def client(smollm2_server):
    openai = pytest.importorskip("openai", reason="the official client comes with the extra 'peers'")
    return openai.OpenAI(base_url=f"{smollm2_server.url}/v1", api_key="none", max_retries=0)


def asked(client, text=FRANCE, **fields):
    how = {"max_tokens": 8, "temperature": 0} | fields
    return client.chat.completions.create(
        model="smollm2", messages=[{"role": "user", "content": text}], **how
    )


def test_the_official_client_gets_what_generate_gives(client, smollm2_here) -> None:
    for temperature in (0.0, 1.0):
        answer = asked(client, COLOURS, n=2, seed=7, temperature=temperature, logprobs=True, top_logprobs=3)
        how = Sampling(max_tokens=8, temperature=temperature)
        [row] = smollm2_here.generate([user(COLOURS)], n=2, sampling=how, seeds=[7])
        assert [choice.message.content for choice in answer.choices] == [each.text for each in row]
        for choice, response in zip(answer.choices, row, strict=True):
            told = choice.logprobs.content
            assert [token.logprob for token in told] == pytest.approx(response.logprobs, abs=1e-4)
            assert all(len(token.top_logprobs) == 3 for token in told)
            assert "".join(token.token for token in told).startswith(response.text)
        assert answer.usage.completion_tokens == sum(len(each.token_ids) for each in row)


def test_the_official_client_streams(client) -> None:
    whole = asked(client, seed=3, temperature=1, max_tokens=12).choices[0]
    chunks = list(
        asked(
            client, seed=3, temperature=1, max_tokens=12, stream=True, stream_options={"include_usage": True}
        )
    )
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == whole.message.content
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == whole.finish_reason
    assert chunks[-1].usage.completion_tokens == 12


def test_characters_of_several_tokens_are_streamed_whole(client) -> None:
    body = {"model": "smollm2", "prompt": "🌍🌎🌏 🌍🌎🌏 🌍🌎🌏 🌍", "max_tokens": 16, "temperature": 0}
    whole = client.completions.create(**body)
    pieces = [chunk.choices[0].text for chunk in client.completions.create(**body, stream=True)]
    assert "".join(pieces) == whole.choices[0].text
    assert not whole.choices[0].text.isascii(), "it goes on with such characters, or nothing is tested"
    assert not any("\ufffd" in piece for piece in pieces[:-1])


def test_the_official_client_stops_at_a_text(client) -> None:
    free = asked(client, max_tokens=12).choices[0].message.content
    stop = free[5:9]
    answer = asked(client, max_tokens=12, stop=stop).choices[0]
    assert answer.message.content == free[: free.index(stop)]
    assert answer.finish_reason == "stop"


def test_the_official_client_is_told_what_is_wrong_in_its_own_exceptions(client) -> None:
    import openai

    with pytest.raises(openai.BadRequestError) as refused:
        asked(client, tools=[{"type": "function", "function": {"name": "f"}}])
    assert refused.value.param == "tools"
    with pytest.raises(openai.BadRequestError) as long:
        asked(client, "word " * 2100)
    assert long.value.code == "context_length_exceeded"
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="gpt-4", messages=[{"role": "user", "content": "a"}])
    assert [model.id for model in client.models.list()] == ["smollm2"]


def test_requests_join_and_each_answer_is_its_own(client, smollm2_server, smollm2_here) -> None:
    texts = [f"Write a sentence about the number {i}." for i in range(6)]
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda i: asked(client, texts[i], seed=i, temperature=1), range(6)))
    assert smollm2_server.health()["most"] > 1
    told = [answer.choices[0].message.content for answer in answers]
    alone = [
        smollm2_here.generate([user(text)], sampling=Sampling(max_tokens=8), seeds=[i])[0][0].text
        for i, text in enumerate(texts)
    ]
    assert told == alone


def test_our_own_client_gets_the_same_too(smollm2_server, smollm2_here, tmp_path) -> None:
    served = OpenAIModel("smollm2", smollm2_server.url, cache=tmp_path, retries=0)
    how = Sampling(max_tokens=8, temperature=0)
    for prompt in (user(FRANCE), "The capital of France is"):
        [[there]] = served.generate([prompt], sampling=how)
        [[here]] = smollm2_here.generate([prompt], sampling=how)
        assert there.text == here.text
        assert there.logprobs == pytest.approx(here.logprobs, abs=1e-4)


def test_generate_and_eval_ask_it(smollm2_server, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BIDDABLE_CACHE", str(tmp_path / "cache"))
    name = f"openai:smollm2@{smollm2_server.url}"
    asked_for = f"{FRANCE} Answer in one sentence."  # which it knows in bf16 as in fp32
    Path("p.jsonl").write_text(json.dumps({"prompt": asked_for}) + "\n")
    options = ("--prompts", "p.jsonl", "--out", "a.jsonl", "--temperature", "0", "--max-tokens", "8")
    result = CliRunner().invoke(main, ["generate", name, *options])
    assert result.exit_code == 0, result.output
    assert "Paris" in json.loads(Path("a.jsonl").read_text())["response"]
    task = {"key": 1, "prompt": FRANCE, "instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]}
    Path("t.jsonl").write_text(json.dumps(task) + "\n")
    options = ("--suite", "ifeval:t.jsonl", "--out", "e", "--json", "--max-tokens", "32")
    result = CliRunner().invoke(main, ["eval", name, *options])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["suites"]


def test_lm_eval_asks_it(smollm2_server, smollm2_here, monkeypatch) -> None:
    lm_eval = pytest.importorskip("lm_eval", reason="lm-evaluation-harness comes with the extra 'peers'")
    pytest.importorskip("lm_eval.models.openai_completions", reason="its client for servers is missing")
    from biddable.suites.plugins.lm_eval_task import lm_eval_task

    monkeypatch.setenv("OPENAI_API_KEY", "none")
    checks = (Check("punctuation:no_comma"),)
    tasks = [Task(str(i), user(text), checks) for i, text in enumerate((FRANCE, COLOURS))]
    mine = lm_eval_task("mine", tasks, judge="rules", max_tokens=8)
    where = f"model=smollm2,base_url={smollm2_server.url}/v1/chat/completions,num_concurrent=2,max_retries=1"
    results = lm_eval.simple_evaluate(
        model="local-chat-completions",
        model_args=where + ",tokenized_requests=False",
        tasks=[mine],
        apply_chat_template=True,
        log_samples=True,
        bootstrap_iters=0,
    )
    answers = {sample["doc"]["prompt"]: sample["resps"][0][0] for sample in results["samples"]["mine"]}
    how = Sampling(max_tokens=8, temperature=0)
    rows = smollm2_here.generate([user(FRANCE), user(COLOURS)], sampling=how)
    assert answers == {FRANCE: rows[0][0].text, COLOURS: rows[1][0].text}
