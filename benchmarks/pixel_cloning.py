"""Cloning a policy from pictures beside a plain PyTorch loop on the same files: samples a second, in turns.

    python -m benchmarks.pixel_cloning [--json] [--rounds N] [--steps N] [--sides 24 40 96] [--only minari]

50 demonstrations of ``mujoco:HiddenGoal?goal=3``, their pictures scaled to each side, as Minari's HDF5, as
LeRobot with PNG and with video (H.264), and as arrays that both sides have in memory. Ours reads a data set
once and learns by ``representations.pretrain``; the peer is a ``Dataset`` that reads, scales and crops one
sample, in a ``DataLoader`` with 0 or 2 workers, whichever is quicker. Both begin with the same weights of the
same network and take the same steps of AdamW; what both have learned at the end is printed to stderr. The
ceiling is steps alone, on one batch. Freed memory stays with the process once ours has trained: the peer's
steps of large pictures are quicker here, too, than in a process of its own.
"""

from __future__ import annotations

import io
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from timeit import timeit
from typing import Any

import av
import h5py
import numpy as np
import pyarrow.parquet as pq
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from benchmarks._common import Row, parser, report, time_both
from biddable.envs.hidden_goal import HiddenGoalEnv
from biddable.policies.base import ScriptedPolicy, rollouts
from biddable.policies.batches import Demonstrations
from biddable.policies.config import ImitationConfig
from biddable.policies.datasets import read_trajectories
from biddable.policies.datasets.write_lerobot import write_lerobot
from biddable.policies.datasets.write_minari import write_minari
from biddable.policies.encoders import ConvEncoder, random_crop
from biddable.policies.heads import Gaussian
from biddable.policies.imitation import fit
from biddable.policies.representations import Pretraining, pretrain
from biddable.types import Trajectory

EPISODES, BATCH, CROP, FPS = 50, 64, 2, 10
ALL = 100_000
"""Samples of 800 batches of 128: what encoders are pre-trained with by default."""
HEAD = Gaussian([-1.0, -1.0], [1.0, 1.0])
SOURCES = ("minari", "lerobot", "lerobot-video", "memory")


class Frames(Dataset[tuple[Tensor, Tensor]]):
    """What a loop of one's own reads: a sample is a picture [3, H, W] from -0.5 to 0.5 and an action."""

    def __init__(self, name: str, path: Path, demos: Demonstrations):
        self._name, self._path = name, path
        self._open: dict[int, Any] = {}
        self._pictures: Any = None
        self._at = [(e, t) for e, length in enumerate(demos.lengths) for t in range(length)]
        self._actions = torch.from_numpy(demos.actions)  # numbers alone: small, read beforehand
        if name == "memory":
            self._pictures = demos.observations["image"][demos.row]
        if name == "lerobot":
            table = pq.read_table(path / "data/chunk-000/file-000.parquet", columns=["observation.image"])
            self._pictures = table["observation.image"].combine_chunks().field("bytes").to_pylist()

    def __len__(self) -> int:
        return len(self._at)

    def __getitem__(self, i: int) -> tuple[Tensor, Tensor]:
        picture = torch.from_numpy(self._picture(i)).permute(2, 0, 1).float() / 255 - 0.5
        down, across = torch.randint(0, 2 * CROP + 1, (2,)).tolist()
        height, width = picture.shape[1:]
        padded = F.pad(picture[None], (CROP,) * 4, mode="replicate")[0]
        return padded[:, down : down + height, across : across + width], self._actions[i]

    def opened(self) -> dict[int, Any]:
        """Of each episode what its pictures are read from; in a worker, its own."""
        if self._name == "minari" and not self._open:
            file = h5py.File(self._path / "data/main_data.hdf5")
            self._open = {e: file[f"episode_{e}/observations/image"] for e in range(EPISODES)}
        if self._name == "lerobot-video" and not self._open:
            videos = self._path / "videos/observation.image/chunk-000"
            self._open = {e: av.open(str(videos / f"file-{e:03d}.mp4")) for e in range(EPISODES)}
        return self._open

    def _picture(self, i: int) -> Any:
        episode, t = self._at[i]
        if self._name == "memory":
            return self._pictures[i]
        if self._name == "lerobot":
            return np.array(Image.open(io.BytesIO(self._pictures[i])))
        if self._name == "minari":
            return self.opened()[episode][t]
        container = self.opened()[episode]
        stream = container.streams.video[0]
        container.seek(int(t / FPS / stream.time_base), stream=stream)
        shown = (f for f in container.decode(stream) if f.pts * stream.time_base > (t - 0.5) / FPS)
        return next(shown).to_ndarray(format="rgb24")


def demonstrations(side: int) -> list[Trajectory]:
    """A controller's, with pictures of that side."""
    env = HiddenGoalEnv(goal=3)
    made = rollouts([env], ScriptedPolicy(env.expert), range(EPISODES))
    for each in made:
        scaled = [Image.fromarray(picture).resize((side, side)) for picture in each.observations["image"]]
        each.observations["image"] = np.stack([np.asarray(picture) for picture in scaled])
    return made


def written(name: str, made: list[Trajectory], folder: Path) -> Path:
    """The data set of a source."""
    if name == "minari":
        return write_minari(made, folder / "pixels-v0", data_format="hdf5")
    form: Any = "video" if name == "lerobot-video" else "image"
    return write_lerobot(made, folder / name, FPS, pictures=form, codec="libx264")


def read(path: Path) -> Demonstrations:
    """What ours reads."""
    return Demonstrations.of(read_trajectories(path, parts=("image",)), ("image",))


class Peer:
    """The loop of one's own."""

    def __init__(self, data: Frames, workers: int, config: ImitationConfig, first: dict[str, Tensor]):
        how = {"num_workers": workers, "persistent_workers": workers > 0}
        self._loader: Any = DataLoader(data, BATCH, shuffle=True, drop_last=True, **how)  # type: ignore[arg-type]
        self.workers, self._config, self._first, self.losses = workers, config, first, [0.0]
        next(iter(self._loader))  # workers are there

    def batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """As many as there are steps."""
        step = 0
        while True:
            for batch in self._loader:
                yield batch
                step += 1
                if step == self._config.steps:
                    return

    def load(self) -> None:
        """Without training."""
        for _ in self.batches():
            pass

    @staticmethod
    def _keypoints(encoder: ConvEncoder, x: Tensor) -> Tensor:
        """A spatial softmax as robomimic writes it."""
        maps = encoder.softmax.maps(encoder.convolutions(x))
        weights = maps.flatten(2).softmax(-1)
        ys, xs = torch.meshgrid(*(torch.linspace(-1, 1, size) for size in maps.shape[2:]), indexing="ij")
        return torch.cat([(weights * xs.flatten()).sum(-1), (weights * ys.flatten()).sum(-1)], -1)

    def train(self) -> None:
        """With it."""
        network, config = Pretraining("behaviour-cloning", (0, 0, 3), HEAD), self._config
        network.load_state_dict(self._first)
        encoder, self.losses = network.encoder, []
        optimizer = torch.optim.AdamW(network.parameters(), config.lr, weight_decay=config.weight_decay)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: config.lr_at(step) / config.lr)
        for x, a in self.batches():
            loss = F.mse_loss(network.f(encoder.out(self._keypoints(encoder, x)))[:, :2], a)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), config.max_grad_norm)
            optimizer.step()
            schedule.step()
            self.losses.append(loss.item())


def rows(name: str, side: int, arguments: Any, folder: Path) -> list[Row]:
    """Both sides on one source: reading, batches alone, training, and all together."""
    made, steps, rounds = demonstrations(side), arguments.steps, arguments.rounds
    config = ImitationConfig(steps=steps, batch_size=BATCH, warmup=steps // 10)
    whole = Demonstrations.of(made, ("image",))
    path = folder if name == "memory" else written(name, made, folder)
    demos = whole if name == "memory" else read(path)
    images, actions = (torch.from_numpy(each) for each in (demos.observations["image"], demos.actions))
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        network = Pretraining("behaviour-cloning", (side, side, 3), HEAD, crop=0)
    first = {key: value.clone() for key, value in network.state_dict().items()}
    learned: list[Any] = []

    def load() -> None:
        rng, crops = np.random.default_rng(0), torch.Generator()
        for _ in range(steps):
            chosen = rng.integers(len(demos), size=BATCH)
            random_crop(images[torch.from_numpy(demos.row[chosen])], CROP, crops), actions[chosen]

    def train() -> None:
        learned.append(pretrain("behaviour-cloning", demos, "image", HEAD, config, crop=CROP)[1])

    def train_alone() -> None:
        fixed = (images[:BATCH], images[:BATCH], actions[:BATCH], torch.Generator())
        fit(network, lambda _: fixed, lambda drawn: network.loss(*drawn), config)

    peers = [Peer(Frames(name, path, whole), workers, config, first) for workers in arguments.workers]
    peer = min(peers, key=lambda each: timeit(each.train, number=1)) if len(peers) > 1 else peers[0]
    which, samples = f"{name}, {side} px, {peer.workers} workers", steps * BATCH

    def rate(part: str, count: int, both: tuple[float, float], ceiling: float | None = None) -> Row:
        ours, theirs = (count / each for each in both)
        return Row.of_rates(f"{which}: {part}", ours, theirs, "samples/s", ceiling=ceiling)

    opened = (0.0, 0.0)
    if name != "memory":
        opened = time_both(lambda: read(path), lambda: Frames(name, path, whole).opened(), rounds=rounds)
    loading = time_both(load, peer.load, rounds=rounds)
    training = time_both(train, peer.train, rounds=rounds)
    alone = samples / time_both(train_alone, lambda: None, rounds=rounds)[0]
    ends = np.mean(learned[-1].losses[-4:]), np.mean(peer.losses[-max(1, steps // 5) :])
    print(f"{which}: losses at the end {ends[0]:.4f} and {ends[1]:.4f}", file=sys.stderr)
    ours, theirs = (once + ALL * each / samples for once, each in zip(opened, training, strict=True))
    return [
        *([Row.of_times(f"{which}: reading", *opened)] if name != "memory" else []),
        rate("batches", samples, loading),
        rate("batches and steps", samples, training, alone),
        rate(f"reading and {ALL:,} samples", ALL, (ours, theirs), alone),
    ]


def main() -> None:
    """Measure and print."""
    options = parser(__doc__)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--steps", type=int, default=100)
    options.add_argument("--sides", type=int, nargs="+", default=[24, 40, 96])
    options.add_argument("--workers", type=int, nargs="+", default=[0, 2], help="the peer's, to choose from")
    options.add_argument("--only", nargs="+", choices=SOURCES, default=SOURCES)
    arguments = options.parse_args()
    torch.set_num_threads(1)
    made: list[Row] = []
    for side in arguments.sides:
        for name in arguments.only:
            with tempfile.TemporaryDirectory() as folder:
                made += rows(name, side, arguments, Path(folder))
    report(made, as_json=arguments.json)


if __name__ == "__main__":
    main()
