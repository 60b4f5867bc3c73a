from __future__ import annotations

import shutil

import pytest

from biddable import registry
from biddable.errors import BiddableError, InputError, ModelError
from biddable.judges.answer import AnswerJudge
from biddable.judges.ifeval import RuleJudge
from biddable.judges.lm_judge import LMJudge
from biddable.judges.load import judge_identity, load_judge
from biddable.judges.rating import CRITERIA, RatingJudge
from biddable.judges.reward import RewardJudge
from biddable.types import Check, Response, Task, Verdict, user
from tests.doubles import Scripted

from .test_reward import save_model


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    return save_model(tmp_path_factory.mktemp("classifier"), num_labels=1)


@pytest.fixture
def asked(monkeypatch):
    """The names of the models that judges loaded."""
    names = []

    def load(name):
        names.append(name)
        return Scripted("Final Judgement: Yes")

    monkeypatch.setattr("biddable.models.load.load_model", load)
    return names


def test_rules_and_answers():
    assert load_judge("rules") == RuleJudge()
    assert load_judge("rules?strict=false&fixed=true") == RuleJudge(strict=False, fixed=True)
    assert load_judge("answer") == AnswerJudge()
    task = Task("t", user("How was it? No commas."), (Check("punctuation:no_comma"),))
    assert load_judge("answer")([task], [Response("Fine!")])[0].passed is False
    assert load_judge("rules")([task], [Response("Fine!")])[0].passed is True


def test_a_language_model_by_vote(asked):
    judge = load_judge("lm:openai:judge@http://localhost:1/v1?votes=3&temperature=0.5&max_tokens=9")
    assert isinstance(judge, LMJudge)
    assert (judge.votes, judge.sampling.temperature, judge.sampling.max_tokens) == (3, 0.5, 9)
    assert load_judge("lm:smollm2").votes == 5
    assert load_judge("lm:openai:judge@http://localhost:1/v1?version=2?").votes == 5
    assert asked == [
        "openai:judge@http://localhost:1/v1",
        "smollm2",
        "openai:judge@http://localhost:1/v1?version=2",
    ]


def test_a_rating(asked):
    judge = load_judge("rating:smollm2?scale=7&criteria=how+polite+it+is&threshold=0.8&max_tokens=64")
    assert isinstance(judge, RatingJudge)
    assert (judge.scale, judge.criteria, judge.threshold) == ((1, 7), "how polite it is", 0.8)
    assert judge.max_tokens == 64
    assert load_judge("rating:smollm2").criteria == CRITERIA
    assert asked == ["smollm2", "smollm2"]


def test_the_identity_of_a_model_that_judges_is_that_of_its_weights(tmp_path, monkeypatch):
    monkeypatch.setattr("biddable.models.load.model_identity", lambda model: f"weights of {model}")
    assert judge_identity("lm:smollm2?votes=3") == "weights of smollm2"
    assert judge_identity("rating:smollm2?scale=7") == "weights of smollm2"


def test_a_reward_model(classifier):
    task, response = Task("t", user("ok")), Response("cold")
    judge = load_judge(f"hf:{classifier}?threshold=-100&batch_size=2")
    assert isinstance(judge, RewardJudge)
    assert (judge.threshold, judge.batch_size) == (-100, 2)
    assert judge([task], [response])[0].passed is True
    assert load_judge(f"hf:{classifier}")([task], [response])[0].passed is None


@pytest.mark.parametrize("place", ["artifacts/judge", "artifacts/model", "judge"])
def test_a_run_that_left_a_judge(classifier, tmp_path, place):
    shutil.copytree(classifier, tmp_path / "run" / place)
    judge = load_judge(f"{tmp_path / 'run'}?threshold=0")
    assert isinstance(judge, RewardJudge)
    assert judge.threshold == 0
    assert load_judge(tmp_path / "run").threshold is None


def test_the_judge_of_a_run_goes_before_its_model(classifier, tmp_path):
    shutil.copytree(classifier, tmp_path / "artifacts" / "model")
    shutil.copytree(save_model(tmp_path / "three", num_labels=3), tmp_path / "artifacts" / "judge")
    with pytest.raises(ModelError, match="artifacts/judge: gives 3 outputs"):
        load_judge(tmp_path)


def test_a_judge_of_another_package(monkeypatch):
    def make(word: str, score: float = 1.0):
        return lambda tasks, responses, *, seeds=None: [Verdict(score, word in r.text) for r in responses]

    class Point:
        name = "says"

        def load(self):
            return make

    monkeypatch.setattr(registry, "_points", lambda kind: [Point()] if kind == "judges" else [])
    judge = load_judge("says:hello?score=0.5")
    assert judge([Task("t", user("x"))], [Response("hello you")]) == [Verdict(0.5, True)]
    with pytest.raises(InputError, match=r"a run folder with a judge in it, says$"):
        load_judge("rubric")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            "rubric",
            "judge is 'rubric', expected rules, answer, reference:METRIC, code, lm:MODEL, rating:MODEL",
        ),
        ("", "judge is '', expected rules"),
        ("runs/nowhere", "judge is 'runs/nowhere', expected rules"),
        ("rules:all", "judge rules: argument is 'all', expected nothing after the name"),
        ("rules?votes=3", "judge rules: option is 'votes', expected strict or fixed"),
        ("rules?strict=perhaps", "judge rules: strict is 'perhaps', expected a valid boolean"),
        ("lm", "judge lm: argument is None, expected MODEL after the colon"),
        ("lm:", "judge lm: argument is '', expected MODEL after the colon"),
        ("lm:smollm2?votes=few", "judge lm: votes is 'few', expected a valid integer"),
        ("lm:smollm2?votes=0", "judge lm: votes is 0, expected an integer of at least 1"),
        ("lm:smollm2?votes", "judge is 'lm:smollm2?votes', expected options as NAME"),
        ("lm:smollm2?votes=3&votes=5", "expected the option votes once"),
        ("lm:smollm2?temperature=0", "judge lm: temperature is 0, expected above 0 with more than one vote"),
        ("rating", "judge rating: argument is None, expected MODEL after the colon"),
        ("rating:smollm2?scale=10", "judge rating: scale is 10, expected the highest rating, from 2 to 9"),
        ("rating:smollm2?threshold=4", "judge rating: threshold is 4.0, expected a number from 0"),
        ("rating:smollm2?criteria=", "judge rating: criteria is '', expected a text that says what counts"),
        ("hf", "judge hf: argument is None, expected FOLDER after the colon"),
    ],
)
def test_what_is_no_judge_is_said_in_one_line(asked, spec, message):
    with pytest.raises(BiddableError) as error:
        load_judge(spec)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_folder_without_a_judge(tmp_path):
    with pytest.raises(ModelError, match="no judge in it"):
        load_judge(tmp_path)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("[1]")
    with pytest.raises(ModelError, match="no judge in it"):
        load_judge(tmp_path)
