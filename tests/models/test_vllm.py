"""vLLM behind our protocol: the mapping against a recording stand-in, the numbers against the real one."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from types import SimpleNamespace
from typing import ClassVar

import pytest

from biddable.errors import InputError, MissingDependency, ModelError
from biddable.models.base import LanguageModel, Sampling
from biddable.models.vllm import VLLMModel
from biddable.types import user

END = 0


class RecordingTokenizer:
    """One token per character; the end of a turn is token 0."""

    chat_template = None
    eos_token_id = END
    added_tokens_decoder: ClassVar = {}

    def apply_chat_template(self, turns, *, tokenize, add_generation_prompt):
        assert self.chat_template
        assert not tokenize
        return "".join(turn["content"] for turn in turns) + ">" * add_generation_prompt

    def __call__(self, text, *, add_special_tokens):
        assert not (text and add_special_tokens)
        return {"input_ids": [ord(c) for c in text]}


class RecordingLLM:
    """Answers every prompt with "ok" and the end token; the log-probability of token t is -t / 100."""

    last = None

    def __init__(self, **options):
        self.options = options
        self.llm_engine = SimpleNamespace(model_config=SimpleNamespace(max_model_len=20))
        RecordingLLM.last = self
        if options["model"] == "broken":
            raise ValueError("1 error:\n  no config.json")

    def get_tokenizer(self):
        return RecordingTokenizer()

    def generate(self, prompts, parameters, *, use_tqdm):
        assert not use_tqdm
        self.prompts = [prompt["prompt_token_ids"] for prompt in prompts]
        self.parameters = parameters
        return [self._output(ids) for ids in self.prompts]

    def _output(self, prompt):
        ids = [ord("o"), ord("k"), END]
        completion = SimpleNamespace(
            text="ok", token_ids=ids, logprobs=_entries(ids), finish_reason="stop", stop_reason=None
        )
        return SimpleNamespace(outputs=[completion], prompt_logprobs=[None, *_entries(prompt[1:])])


def _entries(ids):
    likeliest = {999: SimpleNamespace(logprob=0.0)}
    return [likeliest | {i: SimpleNamespace(logprob=-i / 100)} for i in ids]


@pytest.fixture
def fake_vllm(monkeypatch):
    module = SimpleNamespace(LLM=RecordingLLM, SamplingParams=SimpleNamespace, __spec__=object())
    monkeypatch.setitem(sys.modules, "vllm", module)
    monkeypatch.setenv("VLLM_LOGGING_STREAM", "ext://sys.stderr")


@pytest.mark.usefixtures("fake_vllm")
class TestMapping:
    def test_every_sampling_field_reaches_vllm(self):
        sampling = Sampling(max_tokens=7, temperature=0.5, top_k=3, top_p=0.9, stop=("END",))
        VLLMModel("m").generate([user("hi")], sampling=sampling, seeds=[4])
        [sent] = RecordingLLM.last.parameters
        assert (sent.max_tokens, sent.temperature, sent.top_k, sent.top_p) == (7, 0.5, 3, 0.9)
        assert sent.stop == ["END"]
        assert sent.stop_token_ids == [END]
        assert sent.logprobs == 0

    def test_the_models_own_sampling_defaults_and_its_code_are_kept_out(self):
        VLLMModel("m", max_model_len=64)
        assert RecordingLLM.last.options["generation_config"] == "vllm"
        assert RecordingLLM.last.options["trust_remote_code"] is False
        assert RecordingLLM.last.options["max_model_len"] == 64

    def test_rows_of_n_responses_in_order_each_with_its_own_seed(self):
        rows = VLLMModel("m").generate([user("a"), user("b")], n=2)
        assert [[r.text for r in row] for row in rows] == [["ok", "ok"], ["ok", "ok"]]
        assert RecordingLLM.last.prompts == [[ord(c), ord(">")] for c in "aabb"]
        assert len({sent.seed for sent in RecordingLLM.last.parameters}) == 4

    def test_a_response_has_the_chosen_tokens_logprobs_not_the_likeliest(self):
        [[response]] = VLLMModel("m").generate([user("a")])
        assert response.token_ids == (ord("o"), ord("k"), END)
        assert response.logprobs == (-1.11, -1.07, 0.0)
        assert response.finish_reason == "stop"

    def test_score_reads_the_continuation_and_the_end_of_turn(self):
        [scores] = VLLMModel("m").score([user("abc")], ["no"])
        assert scores.token_ids == (ord("n"), ord("o"), END)
        assert scores.logprobs == (-1.10, -1.11, 0.0)

    def test_nothing_in_nothing_out(self):
        assert VLLMModel("m").generate([]) == []
        assert VLLMModel("m").score([], []) == []

    def test_a_prompt_too_long_is_named_before_anything_runs(self):
        with pytest.raises(InputError, match="prompt is '31 tokens', expected fewer than the 20"):
            VLLMModel("m").generate([user("a"), user("x" * 30)])

    def test_wrong_counts(self):
        with pytest.raises(InputError, match="seeds"):
            VLLMModel("m").generate([user("a")], seeds=[1, 2])
        with pytest.raises(InputError, match="continuations"):
            VLLMModel("m").score([user("a")], [])
        with pytest.raises(InputError, match="n is 0"):
            VLLMModel("m").generate([user("a")], n=0)

    def test_a_model_that_does_not_load_is_one_line(self):
        with pytest.raises(ModelError, match=r"^vllm:broken cannot be loaded: 1 error: no config\.json$"):
            VLLMModel("broken")

    def test_it_is_a_language_model(self):
        assert isinstance(VLLMModel("m"), LanguageModel)


def test_without_vllm_the_install_command_is_given(monkeypatch):
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(MissingDependency, match=r'pip install "biddable\[vllm\]"'):
        VLLMModel("m")


REAL = """
import math, torch
from biddable.models.base import Sampling
from biddable.models.vllm import VLLMModel
from biddable.models.weights import packaged_folder
from biddable.types import user
from transformers import AutoModelForCausalLM, AutoTokenizer

def main():
    folder = str(packaged_folder("smollm2"))
    peer = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = VLLMModel(folder, dtype="float32", max_model_len=512, enforce_eager=True)
    chats = [user("Name three colours."), user("What is the capital of France?")]

    def reference(chat, answer):
        text = tokenizer.apply_chat_template(
            [{"role": "user", "content": chat[0].content}], tokenize=False, add_generation_prompt=True)
        prompt = tokenizer(text, add_special_tokens=False)["input_ids"]
        with torch.no_grad():
            logits = peer(torch.tensor([prompt + list(answer)])).logits[0, len(prompt) - 1 : -1]
        return logits.log_softmax(-1).gather(1, torch.tensor(answer)[:, None])[:, 0]

    greedy = Sampling(max_tokens=12, temperature=0.0)
    for chat, [response] in zip(chats, model.generate(chats, sampling=greedy)):
        torch.testing.assert_close(
            torch.tensor(response.logprobs), reference(chat, response.token_ids), atol=5e-4, rtol=0)
    for chat, scores in zip(chats, model.score(chats, ["Red, green and blue.", "Paris."])):
        assert scores.token_ids[-1] == tokenizer.eos_token_id
        torch.testing.assert_close(
            torch.tensor(scores.logprobs), reference(chat, scores.token_ids), atol=5e-4, rtol=0)

    drawn = Sampling(max_tokens=12)
    rows = model.generate(chats, n=2, sampling=drawn, seeds=[3, 4])
    [alone] = model.generate(chats[:1], n=2, sampling=drawn, seeds=[3])
    assert [r.token_ids for r in rows[0]] == [r.token_ids for r in alone], (rows[0], alone)
    assert rows[0][0].text != rows[0][1].text
    [[whole]] = model.generate(chats[1:], sampling=Sampling(max_tokens=60, temperature=0.0))
    [[cut]] = model.generate(chats[1:], sampling=Sampling(max_tokens=60, temperature=0.0, stop=("Paris",)))
    assert whole.finish_reason == cut.finish_reason == "stop"
    assert whole.token_ids[-1] == tokenizer.eos_token_id
    assert cut.text == whole.text[: whole.text.index("Paris")]
    print("as promised")

if __name__ == "__main__":
    main()
"""


@pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is an extra and is not installed")
def test_the_real_vllm_gives_the_logprobs_of_transformers(tmp_path):
    # vLLM starts its workers by importing the main module again, so it gets one of its own.
    script = tmp_path / "real.py"
    script.write_text(REAL)
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=280, check=False
    )
    assert done.stdout == "as promised\n", done.stderr[-3000:]
