from __future__ import annotations

import pytest

from biddable.errors import InputError, ModelError
from biddable.judges.load import load_judge
from biddable.judges.reward import RewardJudge
from biddable.types import Message, Response, Task, Verdict, user

WORDS = ["the", "river", "is", "long", "and", "cold", "say", "name", "three", "of", "them", "please", "ok"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_model(tmp_path_factory.mktemp("reward"), num_labels=1)


def save_model(folder, num_labels: int):
    """A randomly initialised classifier of a few thousand weights."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForSequenceClassification, PreTrainedTokenizerFast

    vocabulary = {word: i for i, word in enumerate(["<unk>", "<eos>", "user", "assistant", ":", *WORDS])}
    raw = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, unk_token="<unk>", eos_token="<eos>")
    tokenizer.chat_template = "{% for m in messages %}{{ m.role }} : {{ m.content }} {% endfor %}"
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=32,
        num_labels=num_labels,
    )
    LlamaForSequenceClassification(config).save_pretrained(folder)
    return folder


def pairs() -> tuple[list[Task], list[Response]]:
    """Seven tasks with responses of 1 to 12 words, neither sorted by length nor reversed."""
    lengths = (5, 1, 12, 3, 3, 8, 2)
    tasks = [Task(str(i), user(f"say {WORDS[i]}")) for i in range(len(lengths))]
    return tasks, [Response(" ".join(WORDS[i % 3 : i % 3 + length])) for i, length in enumerate(lengths)]


def scores(verdicts: list[Verdict]) -> list[float]:
    return [verdict.score for verdict in verdicts]


def test_rewards_do_not_depend_on_the_batch(folder):
    tasks, responses = pairs()
    alone = scores(RewardJudge(folder, batch_size=1)(tasks, responses))
    assert len(set(alone)) == len(alone)
    for batch_size in (2, 3, 16):
        together = scores(RewardJudge(folder, batch_size=batch_size)(tasks, responses))
        assert together == pytest.approx(alone, abs=1e-5)


def test_the_reward_is_the_classifiers_output_for_the_rendered_chat(folder):
    import torch
    from transformers import AutoTokenizer, LlamaForSequenceClassification

    task = Task(
        "t", (Message("user", "name three"), Message("assistant", "the river"), Message("user", "ok"))
    )
    reward = RewardJudge(folder, precision="fp32")([task], [Response("cold")])[0].score
    text = "user : name three assistant : the river user : ok assistant : cold"
    tokens = AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt")["input_ids"]
    model = LlamaForSequenceClassification.from_pretrained(folder)
    with torch.inference_mode():
        last = model.score(model.model(tokens).last_hidden_state)[0, -1, 0]
    assert reward == pytest.approx(float(last), abs=1e-5)


def test_nothing_to_score(folder):
    assert RewardJudge(folder)([], []) == []


def test_a_response_too_long_for_the_context_has_no_verdict_and_ends_no_others(folder):
    tasks = [Task("long", user("ok")), Task("short", user("ok"))]
    long, short = RewardJudge(folder)(tasks, [Response("river " * 41), Response("cold")])
    assert (long.score, long.passed) == (None, None)
    assert long.critique == "46 tokens with its task, the model takes 32"
    assert short.score is not None


def test_a_threshold_decides_and_without_one_nothing_is_decided(folder):
    tasks, responses = pairs()
    undecided = RewardJudge(folder)(tasks, responses)
    assert {verdict.passed for verdict in undecided} == {None}
    middle = sorted(scores(undecided))[3]
    decided = RewardJudge(folder, threshold=middle)(tasks, responses)
    assert [v.passed for v in decided] == [reward >= middle for reward in scores(undecided)]
    assert sum(v.passed for v in decided) == 4


@pytest.mark.parametrize("threshold", [float("nan"), float("inf")])
def test_a_threshold_is_finite(folder, threshold):
    with pytest.raises(InputError, match="threshold is"):
        RewardJudge(folder, threshold)


def test_numbers_that_are_not_finite_are_no_reward(folder):
    judge = RewardJudge(folder)
    judge.model.score.weight.data.fill_(float("nan"))
    verdict = judge([Task("t", user("ok"))], [Response("cold")])[0]
    assert (verdict.score, verdict.passed, verdict.critique) == (None, None, "the reward is nan")


def test_not_one_response_for_each_task(folder):
    with pytest.raises(InputError, match="responses is 1"):
        RewardJudge(folder)([], [Response("cold")])


def test_folders_that_are_no_reward_model(folder, tmp_path):
    with pytest.raises(ModelError, match="no such folder"):
        RewardJudge(tmp_path / "nothing")
    with pytest.raises(ModelError, match=r"config.json: cannot be read"):
        RewardJudge(tmp_path)
    with pytest.raises(ModelError, match="gives 3 outputs, a reward model gives 1"):
        RewardJudge(save_model(tmp_path / "three", num_labels=3))
    with pytest.raises(InputError, match="batch_size is 0"):
        RewardJudge(folder, batch_size=0)


def test_pickled_weights_are_never_loaded(folder, tmp_path):
    import shutil

    import torch
    from safetensors.torch import load_file

    pickled = shutil.copytree(folder, tmp_path / "pickled")
    torch.save(load_file(pickled / "model.safetensors"), pickled / "pytorch_model.bin")
    (pickled / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"cannot be read as a sequence classifier: .*safetensors"):
        RewardJudge(pickled)


def test_a_head_that_is_missing_is_not_made_up(folder, tmp_path):
    import shutil

    from safetensors.torch import load_file, save_file

    headless = shutil.copytree(folder, tmp_path / "headless")
    weights = load_file(headless / "model.safetensors")
    del weights["score.weight"]
    save_file(weights, headless / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"1 missing \(score.weight\)"):
        RewardJudge(headless)


def test_bf16_and_fp32_give_nearly_the_same_rewards(folder):
    tasks, responses = pairs()
    exact = scores(RewardJudge(folder, precision="fp32")(tasks, responses))
    rounded = scores(RewardJudge(folder, precision="bf16")(tasks, responses))
    assert rounded != exact
    spread = max(exact) - min(exact)
    assert rounded == pytest.approx(exact, abs=0.05 * spread)


def test_another_precision_is_refused(folder):
    with pytest.raises(InputError, match="precision"):
        RewardJudge(folder, precision="fp8")
    with pytest.raises(InputError, match="precision"):
        load_judge(f"hf:{folder}?precision=fp8")
