"""Action hierarchies: what they say and take, what they learn from corrections, what is left of them."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from biddable.errors import FileError, InputError
from biddable.policies.config import ImitationConfig
from biddable.policies.heads import Binned, Gaussian
from biddable.policies.hierarchy import ActionHierarchy, word_means
from biddable.policies.hierarchy_fit import (
    CorrectionBuffer,
    HierarchyConfig,
    Steps,
    clusters,
    fit_hierarchy,
    flat_width,
    read_corrections,
    tuned,
)
from biddable.policies.motions import MotionVocabulary
from biddable.policies.saved import load_policy, save_policy

VOCABULARY = MotionVocabulary(
    ("x", "y"), (("move forward", "move backward"), ("move left", "move right")), (1.0, 1.0)
)
CONFIG = HierarchyConfig(
    vectors="words",
    hidden=(32, 32),
    jitter=0.0,
    fit=ImitationConfig(steps=300, batch_size=64, lr=5e-3, warmup=10),
    tune=ImitationConfig(steps=150, batch_size=64, lr=3e-3, warmup=10),
)
GOALS = {"go to the red one": (1.0, 1.0), "go to the blue one": (-1.0, -1.0)}
HEAD = Gaussian([-1, -1], [1, 1])


def steps(count: int = 600, seed: int = 0) -> Steps:
    """Towards the goal of the instruction, along the axis that is further away."""
    rng = np.random.default_rng(seed)
    states = rng.uniform(-0.8, 0.8, (count, 2)).astype(np.float32)
    instructions = [list(GOALS)[i] for i in rng.integers(2, size=count)]
    away = np.array([GOALS[text] for text in instructions]) - states
    further = np.abs(away) >= np.abs(away).max(1, keepdims=True)
    actions = (np.sign(away) * further).astype(np.float32)
    return Steps(states, instructions, [VOCABULARY.describe(action) for action in actions], actions)


def obs(x: float, y: float, instruction: str = "go to the red one"):
    return {"state": np.array([x, y], dtype=np.float32), "instruction": instruction}


@pytest.fixture(scope="module")
def words() -> ActionHierarchy:
    return fit_hierarchy(steps(), "words", HEAD, CONFIG, vocabulary=VOCABULARY)[0]


def test_it_says_what_it_does_and_does_what_it_says(words) -> None:
    seen = [obs(0.5, -0.5), obs(-0.5, 0.5), obs(0.5, -0.5, "go to the blue one")]
    said, probabilities = words.motion(seen)
    assert said == ["move left", "move forward", "move backward"]
    assert probabilities.shape == (3, 4)
    assert probabilities.sum(1) == pytest.approx(1, abs=1e-5)
    assert np.round(words.act(seen)).tolist() == [[0, 1], [1, 0], [-1, 0]]


def test_of_one_instruction_another_wording_is_the_same() -> None:
    """There is nothing that tells instructions apart: a new one must not be a huge number instead."""
    one = replace(steps(), instructions=["go to the red one"] * 600)
    policy, _ = fit_hierarchy(one, "words", HEAD, CONFIG, vocabulary=VOCABULARY)
    seen = [obs(0.5, -0.5), obs(0.5, -0.5, "move over to what is red")]
    first, second = policy.act(seen)
    np.testing.assert_allclose(first, second)


def test_a_correction_stands_in_the_place_of_what_it_would_say(words) -> None:
    seen = [obs(0.5, -0.5), obs(0.5, -0.5)]
    corrected = np.round(words.act(seen, correction=["Move forward.", None]))
    assert corrected.tolist() == [[1, 0], [0, 1]]
    assert np.round(words.act(seen, correction="move forward")).tolist() == [[1, 0], [1, 0]]
    # A phrase that was never learned is understood by its words.
    both = words.act([obs(0.0, 0.0)], correction="move left and forward")[0]
    assert "move left and forward" not in words.phrases
    assert both.shape == (2,)


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda p: p.act([obs(0, 0)], correction="fly"), "phrase is 'fly', expected words of move forward"),
        (lambda p: p.act([obs(0, 0)], correction="move left and right"), "they are one axis, y"),
        (lambda p: p.act([obs(0, 0)], correction=["move left"] * 2), "2 of them"),
        (lambda p: p.act([{"instruction": "go"}]), "expected one with 'state'"),
        (lambda p: p.act([{"instruction": "go", "state": np.zeros(3)}]), r"state is \[3\], expected \[2\]"),
        (lambda p: CorrectionBuffer(p).steps(), "corrections is 'none', expected at least one"),
        (lambda p: CorrectionBuffer(p).add(obs(0, 0), "hop"), "phrase is 'hop'"),
        (lambda p: CorrectionBuffer(p).add(obs(0, np.nan), "move left"), "2 finite numbers"),
        (lambda p: tuned(p, steps(), Steps(np.zeros((0, 2), np.float32), [], []), CONFIG), "at least one"),
        (
            lambda p: ActionHierarchy("words", None, ["a"], ["b"], "words", ["state"], 2, HEAD, [8]),
            "vocabulary",
        ),
        (lambda p: ActionHierarchy("flat", None, ["a"], ["b"], "words", ["state"], 2, HEAD, [8]), "phrases"),
        (lambda p: fit_hierarchy(replace(steps(), actions=None), "flat", HEAD, CONFIG), "some with actions"),
        (lambda p: Binned([-1], [1], 1), "bins is 1, expected an integer of at least 2"),
    ],
)
def test_bad_input_is_one_line(words, act, message) -> None:
    with pytest.raises(InputError, match=message):
        act(words)


def test_codes_that_say_nothing_of_each_other_take_only_what_was_learned() -> None:
    onehot, _ = fit_hierarchy(steps(), "onehot", HEAD, CONFIG, vocabulary=VOCABULARY)
    assert np.round(onehot.act([obs(0.5, -0.5)], correction="move forward")).tolist() == [[1, 0]]
    with pytest.raises(InputError, match="expected one that was learned: move backward, move forward"):
        onehot.act([obs(0, 0)], correction="move left and forward")
    cosines = (onehot.codes @ onehot.codes.T).fill_diagonal_(0)
    assert cosines.abs().max() < 0.6


def test_a_flat_policy_takes_no_phrases_and_has_as_many_weights(words) -> None:
    flat, _ = fit_hierarchy(steps(), "flat", HEAD, CONFIG, hidden=flat_width(words))
    assert np.round(flat.act([obs(0.5, -0.5)])).tolist() == [[0, 1]]
    assert words.weights <= flat.weights < 1.05 * words.weights
    for act in (lambda: flat.motion([obs(0, 0)]), lambda: flat.act([obs(0, 0)], correction="move left")):
        with pytest.raises(InputError):
            act()


def test_clusters_of_actions() -> None:
    made = steps()
    names = clusters(made.actions, 4, seed=0)
    assert len({*names}) == 4
    pairs = {*zip(names, made.phrases, strict=True)}
    assert len(pairs) == 4, "four directions, four clusters"
    assert len({*clusters(np.zeros((9, 2)), 4, seed=0)}) == 1, "as many as there are different actions"
    policy, _ = fit_hierarchy(replace(made, phrases=names), "cluster", HEAD, CONFIG)
    assert np.round(policy.act([obs(0.5, -0.5)])).tolist() == [[0, 1]]


def test_corrections_change_what_it_says_and_not_what_it_does_about_it(words) -> None:
    buffer, where = CorrectionBuffer(words), obs(0.5, -0.5)
    for _ in range(20):
        buffer.add(where, "move right and forward")
    better = tuned(words, steps(), buffer.steps(), CONFIG)
    assert words.motion([where])[0] == ["move left"]
    assert better.motion([where])[0] == ["move right and forward"], "a phrase that no demonstration has"
    assert better.motion([obs(-0.5, 0.5)])[0] == ["move forward"], "the old ones are kept in the mix"
    for old, new in zip(words.action_network.parameters(), better.action_network.parameters(), strict=True):
        assert torch.equal(old, new)
    longer = tuned(words, steps(), None, CONFIG)
    assert longer.motion([where])[0] == ["move left"]


def test_a_flat_policy_learns_from_actions() -> None:
    flat, _ = fit_hierarchy(steps(), "flat", HEAD, CONFIG)
    where = np.repeat([[0.5, -0.5]], 20, 0).astype(np.float32)
    backward = np.repeat([[-1.0, 0.0]], 20, 0).astype(np.float32)
    better = tuned(flat, steps(), Steps(where, ["go to the red one"] * 20, [""] * 20, backward), CONFIG)
    assert np.round(better.act([obs(0.5, -0.5)])).tolist() == [[-1, 0]]
    with pytest.raises(InputError, match="a flat policy learns no phrases"):
        tuned(flat, steps(), Steps(where, ["go"] * 20, ["move left"] * 20), CONFIG)


def test_it_is_loaded_as_it_was_saved(tmp_path, words) -> None:
    better = tuned(words, steps(), _buffer(words).steps(), CONFIG)
    save_policy(tmp_path / "policy", better, title="a hierarchy")
    again = load_policy(tmp_path / "policy")
    seen = [obs(0.5, -0.5), obs(0.1, 0.2, "go to the green one")]
    assert again.motion(seen)[0] == better.motion(seen)[0]
    assert np.array_equal(again.act(seen), better.act(seen))
    assert np.array_equal(again.act(seen, "move left"), better.act(seen, "move left"))
    about = json.loads((tmp_path / "policy" / "policy.json").read_text())
    about["settings"]["size"] = 3
    (tmp_path / "policy" / "policy.json").write_text(json.dumps(about))
    with pytest.raises(FileError, match="no policy of kind action-hierarchy"):
        load_policy(tmp_path / "policy")


def _buffer(policy) -> CorrectionBuffer:
    buffer = CorrectionBuffer(policy)
    buffer.add(obs(0.5, -0.5), "move right and forward")
    return buffer


def test_corrections_are_read_as_they_were_written_and_bad_lines_are_counted(tmp_path, words) -> None:
    path = tmp_path / "corrections.jsonl"
    _buffer(words).write(path)
    rest = [
        "{",
        '{"instruction": "go"}',
        '{"instruction": "go", "phrase": "hop", "state": [1, "a"]}',
        "",
        "[]",
    ]
    path.write_text(path.read_text() + "\n".join(rest))
    funnel = read_corrections(path)
    assert list(funnel.kept) == ["line 1"]
    assert funnel.rows[0]["phrase"] == "move right and forward"
    assert [each.id for each in funnel.dropped] == ["line 2", "line 3", "line 4", "line 6"]
    for text, message in (("", "holds no corrections"), ("\udcff", "cannot be read")):
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
        with pytest.raises(FileError, match=message):
            read_corrections(path)


def test_a_fit_that_was_killed_ends_as_it_would_have(tmp_path) -> None:
    config = replace(CONFIG, jitter=0.1, fit=replace(CONFIG.fit, steps=60))
    how = (steps(), "words", Binned([-1, -1], [1, 1], 11), config)
    whole, _ = fit_hierarchy(*how, vocabulary=VOCABULARY)

    def stop(step: int) -> None:
        if step == 31:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_hierarchy(*how, vocabulary=VOCABULARY, checkpoint_dir=tmp_path, on_step=stop)
    again, _ = fit_hierarchy(*how, vocabulary=VOCABULARY, checkpoint_dir=tmp_path)
    for name, tensor in whole.tensors().items():
        assert torch.equal(tensor, again.tensors()[name]), name


def test_vectors_of_words_are_near_where_words_are_shared() -> None:
    left, right, grip = word_means(["move left", "move right", "close gripper"])
    assert left @ right > left @ grip + 0.2
    assert np.linalg.norm(left) == pytest.approx(1, abs=1e-6)
    assert np.array_equal(word_means(["Move left."])[0], left)
