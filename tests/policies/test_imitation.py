"""Fitting networks to demonstrations: the loop, batches, goals, contrast, pixel encoders."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from biddable.errors import BiddableError, InputError, RunError
from biddable.policies.batches import Demonstrations
from biddable.policies.config import ImitationConfig
from biddable.policies.contrastive import cosines, hits, info_nce, same
from biddable.policies.encoders import ConvEncoder, SpatialSoftmax, random_crop, stacked_input
from biddable.policies.goals import hindsight_goals
from biddable.policies.heads import Categorical, Gaussian
from biddable.policies.imitation import action_error, fit
from biddable.types import Trajectory


def walk(steps: int, start: float, *, source: str = "a", instruction: str = "go") -> Trajectory:
    states = start + np.arange(steps + 1, dtype=np.float32)[:, None] * np.ones(2, np.float32)
    return Trajectory(
        instruction, {"state": states}, np.full((steps, 1), start), np.zeros(steps), meta={"source": source}
    )


WALKS = [walk(3, 0, source="a"), walk(1, 100, source="b", instruction="come"), walk(4, 200, source="c")]


def test_demonstrations_lie_one_after_the_other() -> None:
    demos = Demonstrations.of(WALKS)
    assert len(demos) == 8
    assert demos.instructions == ("go", "come", "go")
    assert demos.first.tolist() == [0, 4, 6]
    assert demos.last.tolist() == [3, 5, 10]
    assert demos.row.tolist() == [0, 1, 2, 4, 6, 7, 8, 9]
    assert demos.observations["state"][demos.row, 0].tolist() == [0, 1, 2, 100, 200, 201, 202, 203]
    assert demos.observations["state"][demos.row + 1, 0].tolist() == [1, 2, 3, 101, 201, 202, 203, 204]
    assert demos.actions[:, 0].tolist() == [0, 0, 0, 100, 200, 200, 200, 200]


def test_some_episodes_are_taken_and_splits_keep_sources_apart() -> None:
    demos = Demonstrations.of(WALKS)
    some = demos.taken([2, 0])
    whole = Demonstrations.of([WALKS[2], WALKS[0]])
    for name in ("first", "lengths", "episode", "row", "actions"):
        assert np.array_equal(getattr(some, name), getattr(whole, name)), name
    assert np.array_equal(some.observations["state"], whole.observations["state"])
    twice = Demonstrations.of([*WALKS, walk(2, 5, source="a")])
    learned, held = twice.split(0.4, np.random.default_rng(0))
    assert not {*learned.sources} & {*held.sources}
    assert len(learned) + len(held) == len(twice)


@pytest.mark.parametrize(
    ("trajectories", "message"),
    [
        ([], "demonstrations is 'none', expected at least one"),
        ([Trajectory("go", {}, [0], [0.0])], r"demonstrations\[0\] is \"without 'state'\""),
        (
            [walk(1, 0), Trajectory("go", {"state": np.zeros((2, 3))}, [[0]], [0.0])],
            r"state is \[3\], expected \[2\]",
        ),
        ([Trajectory("go", {"state": np.full((2, 2), np.nan)}, [[0]], [0.0])], "not finite"),
        ([Trajectory("go", {"state": ("a", "b")}, [[0]], [0.0])], "expected numbers of one shape"),
    ],
)
def test_what_cannot_be_learned_from_is_one_line(trajectories, message) -> None:
    with pytest.raises(InputError, match=message):
        Demonstrations.of(trajectories)


def test_goals_come_later_in_the_same_episode() -> None:
    demos, rng = Demonstrations.of(WALKS), np.random.default_rng(0)
    actions = np.tile(np.arange(len(demos)), 500)
    for strategy in ("uniform", "geometric", "last"):
        goals = hindsight_goals(demos, actions, rng, strategy, discount=0.5)
        assert (goals > demos.row[actions]).all()
        assert (goals <= demos.last[demos.episode[actions]]).all()
    assert (goals == demos.last[demos.episode[actions]]).all()
    first = np.zeros(
        9000, dtype=np.int64
    )  # three observations follow: each a third; or 1/2, 1/4 and the rest
    shares = np.bincount(hindsight_goals(demos, first, rng), minlength=4)[1:] / len(first)
    assert shares == pytest.approx([1 / 3] * 3, abs=0.02)
    shares = np.bincount(hindsight_goals(demos, first, rng, "geometric", discount=0.5), minlength=4)[1:]
    assert shares / len(first) == pytest.approx([0.5, 0.25, 0.25], abs=0.02)
    assert (hindsight_goals(demos, first, rng, p_last=1.0) == 3).all()
    for strategy in ("uniform", "geometric"):  # as in SOAR's code: never the next one, but for the last
        goals = hindsight_goals(demos, actions, rng, strategy, nearest=2, discount=0.5)
        last = demos.last[demos.episode[actions]]
        assert (goals >= np.minimum(demos.row[actions] + 2, last)).all()
        assert (goals <= last).all()
    goals = hindsight_goals(demos, first, rng, "delta", nearest=1, farthest=2)
    assert np.bincount(goals)[1:] / len(first) == pytest.approx([0.5, 0.5], abs=0.02)
    assert (hindsight_goals(demos, first, rng, "delta", nearest=9, farthest=9) == 3).all()
    with pytest.raises(InputError, match=r"nearest, farthest is \(3, 2\)"):
        hindsight_goals(demos, first, rng, nearest=3, farthest=2)
    with pytest.raises(InputError, match="last, uniform, geometric or delta"):
        hindsight_goals(demos, first, rng, "nearest")


class Line(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Linear(2, 16), nn.Dropout(0.1), nn.Linear(16, 1))

    def forward(self, x):
        return self.layers(x)


def fitted(folder=None, stop_at: int | None = None, **changes):
    network = Line()

    def batch(rng):
        x = torch.as_tensor(rng.normal(size=(16, 2)), dtype=torch.float32)
        return x, x.sum(1, keepdim=True)

    def stop(step):
        if step == stop_at:
            raise KeyboardInterrupt

    def loss(batch):
        x, y = batch
        return (network(x) - y).square().mean()

    config = ImitationConfig(steps=200, batch_size=16, lr=1e-2, warmup=10, **changes)
    return network, fit(network, batch, loss, config, checkpoint_dir=folder, on_step=stop)


def test_a_killed_training_ends_as_it_would_have(tmp_path) -> None:
    network, whole = fitted()
    assert whole.losses[-1] < 0.3 * whole.losses[0]
    with pytest.raises(KeyboardInterrupt):
        fitted(tmp_path, stop_at=137)
    again, resumed = fitted(tmp_path)
    assert resumed == whole
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), again.parameters(), strict=True))
    with pytest.raises(RunError, match="a training with other settings"):
        fitted(tmp_path, seed=1)


def test_dropout_is_that_of_the_seed_and_the_callers_random_numbers_stay() -> None:
    def after(seed: int, callers: int) -> torch.Tensor:
        network, x = Line(), torch.ones(16, 2)
        torch.manual_seed(callers)
        state = torch.get_rng_state()
        config = ImitationConfig(steps=5, warmup=1, lr=1e-2, seed=seed)
        fit(network, lambda rng: x, lambda x: network(x).square().mean(), config)
        assert torch.equal(torch.get_rng_state(), state)
        return network.layers[0].weight.detach()

    assert torch.equal(after(0, callers=1), after(0, callers=2))
    assert not torch.equal(after(0, callers=1), after(1, callers=1))


def test_a_loss_that_is_no_longer_finite_stops_it() -> None:
    network = Line()
    with pytest.raises(BiddableError, match="no longer finite after 0 steps; lower lr"):
        fit(
            network,
            lambda rng: None,
            lambda batch: network(torch.full((1, 2), torch.inf)).sum(),
            ImitationConfig(),
        )


def test_action_errors() -> None:
    outputs = torch.tensor([[0.0, 1.0], [0.0, 1.0]])
    assert action_error(Categorical(2), outputs, torch.tensor([1, 0])).tolist() == [0, 1]
    outputs = torch.tensor([[0.5, 0.0, 0.0, 0.0]])
    error = action_error(Gaussian([-2.0, -1.0], [2.0, 1.0]), outputs, torch.tensor([[0.0, 0.5]]))
    assert error.tolist() == pytest.approx([(1.0**2 + 0.5**2) / 2])


def test_contrast_by_hand() -> None:
    a, b = torch.eye(3), torch.eye(3)
    loss = info_nce(a, b, 1.0)
    assert loss.item() == pytest.approx(-np.log(np.e / (np.e + 2)), abs=1e-6)
    shared = same(torch.tensor([0, 0, 1]))
    loss = info_nce(a, b, 1.0, positive=shared)
    two, one = -np.log((np.e + 1) / (np.e + 2)), -np.log(np.e / (np.e + 2))
    assert loss.item() == pytest.approx((2 * two + one) / 3, abs=1e-6)
    valid = torch.tensor([True, True, False])
    assert info_nce(a, b, 1.0, valid=valid).item() == pytest.approx(-np.log(np.e / (np.e + 1)), abs=1e-6)
    a.requires_grad_()
    nothing = info_nce(a, b, 1.0, valid=torch.tensor([True, False, False]))
    nothing.backward()
    assert (nothing.item(), a.grad.abs().max().item()) == (0.0, 0.0)
    with pytest.raises(InputError, match="one of length 0"):
        cosines(torch.zeros(1, 3), b)


def test_what_is_masked_changes_nothing() -> None:
    torch.manual_seed(0)
    a, b = torch.randn(6, 4), torch.randn(6, 4)
    valid = torch.tensor([True, True, False, True, False, True])
    assert torch.allclose(info_nce(a, b, 0.1, valid=valid), info_nce(a[valid], b[valid], 0.1))


def test_retrieval_counts_ties_as_hits() -> None:
    scores = torch.tensor([[3.0, 2.0, 1.0], [1.0, 1.0, 0.0], [0.0, 2.0, 1.0]])
    positive = torch.eye(3, dtype=torch.bool)
    assert hits(scores, positive, 1).tolist() == [True, True, False]
    assert hits(scores, positive, 2).tolist() == [True, True, True]
    assert hits(scores, positive, 9).all()
    with pytest.raises(InputError, match="a row without one"):
        hits(scores, positive[:, :2].new_zeros(3, 3), 1)


def test_a_spatial_softmax_says_where() -> None:
    softmax = SpatialSoftmax(1, 1)
    nn.init.constant_(softmax.maps.weight, 50.0)
    picture = torch.zeros(1, 1, 5, 5)
    picture[0, 0, 1, 4] = 1.0  # row 1 of 0 to 4, column 4
    assert softmax(picture)[0].tolist() == pytest.approx([1.0, -0.5], abs=1e-4)


@pytest.mark.parametrize("form", [torch.channels_last, torch.contiguous_format])
def test_a_spatial_softmax_is_the_mean_place_of_each_map(form) -> None:
    torch.manual_seed(0)
    softmax, features = SpatialSoftmax(4, 3), torch.randn(2, 4, 5, 7).to(memory_format=form)
    weights = softmax.maps(features).flatten(2).softmax(-1).view(2, 3, 5, 7)
    ys, xs = torch.meshgrid(torch.linspace(-1, 1, 5), torch.linspace(-1, 1, 7), indexing="ij")
    expected = torch.cat([(weights * xs).sum((2, 3)), (weights * ys).sum((2, 3))], 1)
    assert torch.allclose(softmax(features), expected, atol=1e-6)


def test_a_picture_encoder_and_its_bad_input() -> None:
    encoder = ConvEncoder(latent=8)
    images = torch.randint(0, 256, (2, 40, 40, 3), dtype=torch.uint8)
    latent = encoder(images)
    assert latent.shape == (2, 8)
    assert latent.abs().max() <= 1
    for wrong, message in ((images.float(), "bytes"), (images[..., :1], r"\[N, H, W, 3\]")):
        with pytest.raises(InputError, match=message):
            encoder(wrong)


def test_crops_move_pictures_and_differ() -> None:
    images = torch.arange(25, dtype=torch.uint8).view(1, 5, 5, 1).expand(64, -1, -1, -1).contiguous()
    cropped = random_crop(images, 1, torch.Generator().manual_seed(0))
    shifts = {tuple((crop[2, 2, 0] - 12).view(1).tolist()) for crop in cropped.int()}
    assert shifts == {(5 * down + across,) for down in (-1, 0, 1) for across in (-1, 0, 1)}
    assert torch.equal(random_crop(images, 0, torch.Generator()), images)
    with pytest.raises(InputError, match="less than the pictures' 5 pixels"):
        random_crop(images, 5, torch.Generator())


@pytest.mark.parametrize("channels", [3, 6])
def test_a_crop_is_a_window_of_the_picture_with_its_edge_repeated(channels) -> None:
    torch.manual_seed(0)
    images = torch.randint(0, 256, (8, 6, 9, channels), dtype=torch.uint8)
    cropped = random_crop(images, 2, torch.Generator().manual_seed(3))
    shifts = torch.randint(0, 5, (2, 8), generator=torch.Generator().manual_seed(3))
    wide = np.pad(images.numpy(), ((0, 0), (2, 2), (2, 2), (0, 0)), mode="edge")
    for picture, crop, (down, across) in zip(wide, cropped, shifts.T.tolist(), strict=True):
        assert np.array_equal(crop, picture[down : down + 6, across : across + 9])


def test_a_stack_of_one_picture_twice_looks_as_the_picture_alone() -> None:
    torch.manual_seed(0)
    one, two = nn.Conv2d(3, 4, 3, bias=False), nn.Conv2d(6, 4, 3, bias=False)
    two.weight.data = stacked_input(one.weight.data)
    picture = torch.randn(1, 3, 8, 8)
    assert torch.allclose(two(torch.cat([picture, picture], 1)), one(picture), atol=1e-6)
