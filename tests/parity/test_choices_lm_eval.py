"""The same log-probabilities as lm-evaluation-harness's ``hf`` backend: of choices, and of whole texts."""

from __future__ import annotations

import pytest

from benchmarks.choice_scoring import by_harness, harness, made_items, same_answers
from biddable.models.choices import rank_choices
from biddable.models.load import load_model
from biddable.models.rolling import loglikelihood_rolling
from tests.train.tiny import CONTEXT, local

pytest.importorskip("lm_eval.models.huggingface", reason="lm-evaluation-harness's hf backend is missing")


@pytest.fixture(scope="module")
def smollm2_fp32():
    return load_model("smollm2", precision="fp32")


def test_choices_have_the_same_scores(smollm2_fp32) -> None:
    prompts, choices, _ = made_items(2)
    # Blanks before the border, a choice that goes on with the last word, characters of several tokens.
    prompts += ["Name a river. ", "The capital of France is Paris", "Ein Fluss:\n"]
    choices += [["The Nile", " Rhine"], ["ian bread", "."], ["Die Weiße Elster", "日本の川"]]
    ours = rank_choices(smollm2_fp32, prompts, choices)
    theirs = by_harness(harness(smollm2_fp32.module, smollm2_fp32.tokenizer, 4), prompts, choices)
    for ranking, scores in zip(ours, theirs, strict=True):
        assert ranking.scores == pytest.approx(scores, abs=2e-3)
    assert same_answers(ours, theirs) == 0


def test_whole_texts_have_the_same_scores_window_by_window() -> None:
    from lm_eval.api.instance import Instance

    model = local()
    texts = [" ".join(f"w{(5 * i) % 29}" for i in range(n)) for n in (1, 20, CONTEXT, CONTEXT + 1, 150)]
    peer = harness(model.module, model.tokenizer, 4)
    theirs = peer.loglikelihood_rolling(
        [Instance("loglikelihood_rolling", {}, (text,), i) for i, text in enumerate(texts)], disable_tqdm=True
    )
    assert [score.nats for score in loglikelihood_rolling(model, texts)] == pytest.approx(theirs, abs=2e-3)
