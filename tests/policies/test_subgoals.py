"""Sub-goals: they are learned, made when they are due, reached, and the policy comes back from its folder."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from biddable.errors import InputError
from biddable.policies.base import EpisodicPolicy, rollouts
from biddable.policies.batches import Demonstrations
from biddable.policies.config import ImitationConfig
from biddable.policies.goal_networks import Seen
from biddable.policies.goals import hindsight_goals
from biddable.policies.heads import head_of
from biddable.policies.imitation import fit
from biddable.policies.saved import load_policy, save_policy
from biddable.policies.subgoals import ReachNetwork, SubgoalModel, SubgoalPolicy, ToldPolicy
from biddable.types import Trajectory

CELLS, STATES = Seen("grid", "cells", (5, 5, 3)), Seen("state", "vectors", (3,))
LEFT, RIGHT = "go to the left", "go to the right"
VECTORS = dict(zip((LEFT, RIGHT), np.eye(2, 384, dtype=np.float32), strict=True))


def encode(texts):
    return np.stack([VECTORS[text] for text in texts])


def grid(x: int, y: int) -> np.ndarray:
    """An empty grid with walls around it, and the agent."""
    cells = np.zeros((5, 5, 3), np.uint8)
    cells[..., 0] = 2
    cells[1:-1, 1:-1] = 1, 0, 0
    cells[x, y] = 10, 0, 0
    return cells


def small(seen: Seen, head) -> tuple[SubgoalModel, ReachNetwork]:
    torch.manual_seed(0)
    sizes = {"channels": 8, "hidden": 16}
    return SubgoalModel(seen, blocks=2, **sizes), ReachNetwork(seen, head.outputs, width=8, **sizes)


def test_the_model_learns_where_the_agent_goes_and_keeps_one() -> None:
    now = np.stack([grid(2, y) for y in (1, 2, 3) for _ in range(2)])
    later = np.stack([grid(x, y) for y in (1, 2, 3) for x in (1, 3)])
    s, g = torch.from_numpy(now), torch.from_numpy(later)
    texts = torch.from_numpy(encode([LEFT, RIGHT] * 3))
    model, _ = small(CELLS, head_of({"kind": "categorical", "n": 3}))
    model.standardise(s, texts)
    before = model.predict(s, texts)
    assert (before == s).all(), "at first it says that nothing changes"
    how = ImitationConfig(steps=150, lr=1e-2, warmup=10)
    fit(model, lambda rng: None, lambda _: model.loss(s, texts, g), how)
    made = model.predict(s, texts)
    assert torch.equal(made, g)
    assert ((made[..., 0] == 10).flatten(1).sum(1) == 1).all()


@pytest.mark.parametrize(
    ("seen", "obs"),
    [
        (STATES, torch.randn(4, 3)),
        (Seen("image", "pictures", (20, 16, 3)), torch.randint(0, 256, (4, 20, 16, 3), dtype=torch.uint8)),
    ],
)
def test_vectors_and_pictures_are_learned_too(seen, obs) -> None:
    model, network = small(seen, head_of({"kind": "categorical", "n": 3}))
    texts = torch.from_numpy(encode([LEFT, RIGHT] * 2))
    model.standardise(obs, texts)
    later = obs.flip(0)
    before = model.loss(obs, texts, later).item()
    how = ImitationConfig(steps=60, lr=1e-2, warmup=5)
    fit(model, lambda rng: None, lambda _: model.loss(obs, texts, later), how)
    assert model.loss(obs, texts, later).item() < 0.7 * before
    made = model.predict(obs, texts)
    assert made.shape == obs.shape
    assert made.dtype == obs.dtype
    assert network.toward(obs, made).shape == network.told(obs, texts).shape == (4, 3)


class Noted:
    """Counts sub-goals, and says to which a policy was led."""

    def __init__(self, policy: SubgoalPolicy):
        self.made: list[int] = []
        original = policy.model.predict

        def predict(obs, vectors):
            self.made.append(len(obs))
            return original(obs, vectors)

        policy.model.predict = predict


def policy_on_a_line(**options) -> SubgoalPolicy:
    """Reaches states along a line by steps of 1; its model says 4 to the left or to the right."""
    rng = np.random.default_rng(0)
    walks = []
    for i in range(40):
        side = 1 if i % 2 else -1
        states = (rng.normal(size=3) * 3 + np.arange(7)[:, None] * np.array([side, 0, 0])).astype(np.float32)
        text, actions = (RIGHT if side > 0 else LEFT), np.full(6, int(side > 0))
        walks.append(Trajectory(text, {"state": states}, actions, np.zeros(6)))
    demos, head = Demonstrations.of(walks), head_of({"kind": "categorical", "n": 2})
    model, network = small(STATES, head)
    s, a = torch.from_numpy(demos.observations["state"]), torch.from_numpy(demos.actions)
    texts = torch.from_numpy(encode(demos.instructions))
    model.standardise(s, texts)
    network.standardise(s, texts)

    def batch(rng):
        steps = rng.integers(len(demos), size=64)
        later = hindsight_goals(demos, steps, rng, "delta", nearest=4, farthest=4)
        return demos.row[steps], later, demos.episode[steps], steps

    how = ImitationConfig(steps=200, lr=1e-2, warmup=5)
    fit(model, batch, lambda b: model.loss(s[b[0]], texts[b[2]], s[b[1]]), how)

    def imitation(drawn):
        now, later, _, steps = drawn
        return -head.log_prob(network.toward(s[now], s[later]), a[steps]).mean()

    fit(network, batch, imitation, how)
    return SubgoalPolicy(model, network, head, 4, 2, encode=encode, **options)


class Line:
    """Ends after 10 steps; it succeeded on the commanded side."""

    def reset(self, *, seed=None, options=None):
        self._text = (options or {}).get("instruction", LEFT)
        self._at, self._steps = np.zeros(3, np.float32), 0
        return self._obs(), {}

    def step(self, action):
        self._at = self._at + np.array([1 if action else -1, 0, 0], np.float32)
        self._steps += 1
        success = (self._at[0] > 0) == (self._text == RIGHT)
        return self._obs(), 0.0, False, self._steps == 10, {"success": bool(success)}

    def _obs(self):
        return {"state": self._at, "instruction": self._text}


def test_a_sub_goal_is_made_every_k_steps_and_the_last_stays(tmp_path) -> None:
    policy = policy_on_a_line()
    noted = Noted(policy)
    assert isinstance(policy, EpisodicPolicy)
    options = [{"instruction": text} for text in (LEFT, RIGHT, RIGHT)]
    episodes = rollouts([Line(), Line()], policy, [0, 1, 2], options=options)
    assert [each.success for each in episodes] == [True] * 3
    assert [each.instruction for each in episodes] == [LEFT, RIGHT, RIGHT]
    assert noted.made == [2, 2, 1, 1], "at steps 0 and 4 of each pair; not at 8: there are two"
    with pytest.raises(InputError, match="options is '1 of them', expected 2, for each seed"):
        rollouts([Line()], policy, [0, 1], options=options[:1])

    save_policy(tmp_path / "policy", policy, title="A line", env="")
    again = load_policy(tmp_path / "policy")
    again._vectors = policy._vectors
    assert (again.steps_per_subgoal, again.max_subgoals) == (4, 2)
    for text in (LEFT, RIGHT):
        seen = [{"state": np.array([0.5, 1, 0], np.float32), "instruction": text}]
        assert again.act(seen) == policy.act(seen) == [int(text == RIGHT)]
        np.testing.assert_array_equal(again.subgoals(seen), policy.subgoals(seen))
        moved = policy.subgoals(seen)[0, 0] - 0.5
        assert abs(moved) == pytest.approx(3.3, abs=1.2), "4 steps, fewer near a walk's end"
        assert (moved > 0) == (text == RIGHT)


def test_actions_are_drawn_in_a_share_of_episodes() -> None:
    policy = policy_on_a_line(rng=np.random.default_rng(0), p_likeliest=0.3)
    seen = {"state": np.zeros(3, np.float32), "instruction": LEFT}
    policy.act_in([seen] * 500, range(500))
    kept = [policy._episodes[i].likeliest for i in range(500)]
    assert np.mean(kept) == pytest.approx(0.3, abs=0.07)
    policy.act_in([seen] * 2, [3, 700])
    assert policy._episodes.keys() == {3, 700}, "episodes that ended are forgotten"
    assert policy._episodes[3].likeliest == kept[3]
    assert policy._episodes[3].steps == 2


def test_the_same_network_takes_instructions() -> None:
    head = head_of({"kind": "categorical", "n": 2})
    _, network = small(STATES, head)
    obs, texts = torch.randn(8, 3), torch.from_numpy(encode([LEFT, RIGHT] * 4))
    a = torch.tensor([0, 1] * 4)
    how = ImitationConfig(steps=60, lr=1e-2, warmup=5)
    fit(network, lambda rng: None, lambda _: -head.log_prob(network.told(obs, texts), a).mean(), how)
    policy = ToldPolicy(network, head, encode)
    told = zip(obs.numpy(), (LEFT, RIGHT) * 4, strict=True)
    assert policy.act([{"state": row, "instruction": text} for row, text in told]) == a.tolist()


def test_what_does_not_fit_is_one_line() -> None:
    head = head_of({"kind": "categorical", "n": 2})
    model, network = small(STATES, head)
    with pytest.raises(InputError, match="steps_per_subgoal is 0"):
        SubgoalPolicy(model, network, head, 0)
    other, _ = small(CELLS, head)
    with pytest.raises(InputError, match="a model of what the policy sees"):
        SubgoalPolicy(other, network, head)
    policy = SubgoalPolicy(model, network, head, encode=encode)
    with pytest.raises(InputError, match="one with the part 'state'"):
        policy.act([{"image": np.zeros(3), "instruction": LEFT}])
    with pytest.raises(InputError, match=r"expected numbers of shape \[3\]"):
        policy.act([{"state": np.zeros(4, np.float32), "instruction": LEFT}])
    with pytest.raises(InputError, match="instruction is ''"):
        policy.act([{"state": np.zeros(3, np.float32), "instruction": " "}])
