"""LeRobot's data sets: one that LeRobot wrote, others in the documented form, ours, and damage."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from biddable.errors import FileError, InputError, MissingDependency, RunError
from biddable.policies.datasets import read_trajectories
from biddable.policies.datasets.write_lerobot import write_lerobot
from biddable.types import Trajectory

WRITTEN = Path(__file__).parent / "written" / "lerobot-v3"
"""By LeRobot 0.4.4 (``write_lerobot_files.py`` says what is in it)."""
VIDEO = "videos/observation.images.top/chunk-000/file-000.mp4"


def copied(to: Path) -> Path:
    return Path(shutil.copytree(WRITTEN, to / "set"))


def version_2(folder: Path, version: str = "v2.1") -> Path:
    """A data set of two episodes in the form of versions 2.0 and 2.1, without pictures."""
    features = {
        "observation.state": {"dtype": "float32", "shape": [2], "names": {"motors": ["a", "b"]}},
        "observation.matrix": {"dtype": "float64", "shape": [2, 3], "names": None},
        "action": {"dtype": "float32", "shape": [2], "names": ["a", "b"]},
    }
    about = {
        "codebase_version": version,
        "total_episodes": 2,
        "fps": 20,
        "chunks_size": 1,
        "features": features,
        "data_path": "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet",
        "video_path": "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4",
    }
    meta = folder / "meta"
    meta.mkdir(parents=True)
    (meta / "info.json").write_text(json.dumps(about))
    tasks = ["pick it up", "put it down"]
    lines = [{"task_index": i, "task": task} for i, task in enumerate(tasks)]
    (meta / "tasks.jsonl").write_text("\n".join(map(json.dumps, lines)))
    episodes = [
        {"episode_index": i, "length": 3 + i, "tasks": tasks if i else ["pick it up", "lift it"]}
        for i in range(2)
    ]
    (meta / "episodes.jsonl").write_text("\n".join(map(json.dumps, episodes)))
    for i in range(2):
        steps = np.arange(3 + i)
        path = folder / about["data_path"].format(episode_chunk=i, episode_index=i)
        path.parent.mkdir(parents=True)
        table = pa.table(
            {
                "observation.state": [[float(i), float(t)] for t in steps],
                "observation.matrix": [[[t, 0.0, 0.0], [0.0, 0.0, t]] for t in steps.astype(float)],
                "action": [[float(t), 0.5] for t in steps],
                "timestamp": (steps / 20).astype(np.float32),
                "frame_index": steps,
                "episode_index": np.full(3 + i, i),
                "task_index": steps // 2 * i,
            }
        )
        pq.write_table(table, path)
    return folder


def test_what_lerobot_wrote() -> None:
    pytest.importorskip("av", reason='av is not installed: pip install "biddable[robots]"')
    data = read_trajectories(WRITTEN)
    assert (data.spec.format, data.spec.version, data.spec.fps) == ("lerobot", "v3.0", 10)
    assert (len(data), data.spec.steps) == (3, 19)
    assert data.spec.action.names == ("dx", "dy")
    assert data.spec.observations == {
        "state": ((3,), "float32"),
        "images.top": ((64, 96, 3), "uint8"),
        "images.wrist": ((48, 48, 3), "uint8"),
    }
    for number, (episode, length) in enumerate(zip(data, (5, 8, 6), strict=True)):
        steps = np.arange(length)
        shown = 10 * number + np.append(steps, steps[-1])  # what was seen last is there twice
        assert episode.instruction == ("lift the cube" if number == 1 else "push the cube")
        assert (episode.success, episode.terminated, episode.truncated) == (
            (True, True, False) if number != 1 else (False, False, True)
        )
        assert episode.meta == {"episode": number, "last_observation": "repeated"}
        assert episode.actions.tolist() == [[t, -t] for t in range(length)]
        assert episode.rewards.tolist() == [0.0] * (length - 1) + [1.0]
        assert episode.observations["state"][:, 2].tolist() == shown.tolist()
        assert np.array_equal(episode.observations["images.wrist"][:, 5, 6, 1], shown)
        red = episode.observations["images.top"][..., 0].mean((1, 2))
        assert np.abs(red - 8 * shown).max() < 4, "as near as the video's compression leaves it"


def test_parts_that_are_not_asked_for_are_not_read(tmp_path) -> None:
    folder = copied(tmp_path)
    shutil.rmtree(folder / "videos")
    data = read_trajectories(folder, parts=["state"])
    assert data.spec.observations == {"state": ((3,), "float32")}
    assert [each.observations.keys() for each in data] == [{"state"}] * 3
    with pytest.raises(
        InputError, match=r"parts is 'images.left', expected parts of the observations: state"
    ):
        read_trajectories(folder, parts=["state", "images.left"])


@pytest.mark.parametrize("version", ["v2.0", "v2.1"])
def test_version_2(version, tmp_path) -> None:
    data = read_trajectories(version_2(tmp_path / "set", version))
    assert data.spec.action.names == ("a", "b")
    assert not data.spec.rewards
    first, second = data
    assert (first.instruction, first.meta["wordings"]) == ("pick it up", ("lift it",))
    assert first.rewards.tolist() == [0.0] * 3
    assert (first.success, first.terminated) == (None, False)
    assert second.observations["matrix"][2].tolist() == [[2, 0, 0], [0, 0, 2]]
    told = ("pick it up", "pick it up", "put it down", "put it down", "put it down")
    assert second.observations["instruction"] == told, "another task from the third frame on"
    assert second.observation(2)["instruction"] == "put it down"


@pytest.mark.parametrize(
    ("columns", "success", "terminated", "truncated"),
    [
        ({}, None, False, False),  # nobody says anything
        ({"done": 0}, None, False, False),
        ({"done": 1}, None, False, True),  # LeRobot's last frame is done, however it ended
        ({"done": 1, "reward": 0}, None, False, True),
        ({"done": 1, "reward": 1}, True, True, False),
        ({"done": 1, "success": 1}, True, True, False),
        ({"done": 1, "success": 0, "reward": 1}, False, False, True),
        ({"done": 0, "success": 1}, True, False, False),
        ({"done": 1, "truncated": 1, "success": 1}, True, False, True),
        ({"done": 1, "truncated": 0}, None, True, False),
        ({"done": 1, "terminated": 1}, None, True, False),
        ({"done": 1, "terminated": 0, "success": 1}, True, False, True),
        ({"terminated": 0, "truncated": 1}, None, False, True),
        ({"done": 1, "terminated": 1, "truncated": 1}, None, True, False),
    ],
)
def test_how_an_episode_ended(columns, success, terminated, truncated, tmp_path) -> None:
    folder = version_2(tmp_path / "set")
    info = json.loads((folder / "meta/info.json").read_text())
    for name, last in columns.items():
        dtype = "float32" if name == "reward" else "bool"
        info["features"][f"next.{name}"] = {"dtype": dtype, "shape": [1], "names": None}

        def told(table: pa.Table, name: str = name, last: int = last, dtype: str = dtype) -> pa.Table:
            values = np.append(np.zeros(len(table) - 1), last).astype(dtype)
            return table.append_column(f"next.{name}", pa.array(values))

        rewrite(folder / "data/chunk-000/episode_000000.parquet", told)
    (folder / "meta/info.json").write_text(json.dumps(info))
    episode = read_trajectories(folder)[0]
    assert (episode.success, episode.terminated, episode.truncated) == (success, terminated, truncated)


def rewrite(path: Path, fn: Callable[[pa.Table], pa.Table]) -> None:
    pq.write_table(fn(pq.read_table(path)), path)


def change(path: Path, **fields: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def cut(path: Path, share: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


def nan_action(table: pa.Table) -> pa.Table:
    rows = table["action"].to_pylist()
    rows[6][1] = float("nan")
    column = pa.array(rows, table.schema.field("action").type)
    return table.set_column(table.column_names.index("action"), "action", column)


def other_frame(table: pa.Table) -> pa.Table:
    keep = [i for i in range(len(table)) if i != 7]
    return table.take(keep)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda f: rewrite(f / "data/chunk-000/file-000.parquet", nan_action),
            r"episode 1: action of step 1 is",
        ),
        (
            lambda f: rewrite(f / "data/chunk-000/file-000.parquet", other_frame),
            r"episode 1, frame 2: it is m",
        ),
        (lambda f: cut(f / VIDEO, 0.5), "episode 0|video of episode"),
        (lambda f: (f / VIDEO).unlink(), r"file-000.mp4: episode 0, images.top: no such file"),
        (lambda f: (f / VIDEO).write_bytes(b"no video"), "video of episode 0, images.top cannot be read"),
        (lambda f: cut(f / "data/chunk-000/file-000.parquet", 0.5), "episode 0 cannot be read"),
        (
            lambda f: change(f / "meta/info.json", codebase_version="v9.1"),
            "'v9.1'; v2.0, v2.1, v3.0 are read",
        ),
        (lambda f: change(f / "meta/info.json", total_episodes=4), "total_episodes is 4, but 3 are listed"),
        (lambda f: change(f / "meta/info.json", features={}), "expected one named 'action'"),
        (lambda f: change(f / "meta/info.json", fps="fast"), "the description cannot be read"),
        (lambda f: (f / "meta/tasks.parquet").unlink(), r"tasks.parquet: no such file"),
        (lambda f: shutil.rmtree(f / "meta/episodes"), "no such files: chunk-000/file-000.parquet"),
    ],
)
def test_damage_is_one_line_that_says_where(damage, message, tmp_path) -> None:
    pytest.importorskip("av", reason='av is not installed: pip install "biddable[robots]"')
    folder = copied(tmp_path)
    damage(folder)
    with pytest.raises(FileError, match=message) as caught:
        list(read_trajectories(folder))
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_video_that_lacks_its_last_frames(tmp_path) -> None:
    """It is whole to the reader of MP4, and too short for the episode."""
    pytest.importorskip("av", reason='av is not installed: pip install "biddable[robots]"')
    from biddable.policies.datasets.video import write_video

    folder = copied(tmp_path)
    (folder / VIDEO).unlink()
    write_video(folder / VIDEO, np.zeros((17, 64, 96, 3), np.uint8), 10, "libsvtav1")
    data = read_trajectories(folder)
    assert len(data[1]) == 8
    with pytest.raises(
        FileError, match=r"episode 2, images.top, frame 4 of 6: the video has none at 1.700 s"
    ):
        data[2]


def test_without_av_it_says_what_to_install(monkeypatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(MissingDependency, match=r'pip install "biddable\[robots\]"'):
        read_trajectories(WRITTEN)[0]
    assert len(read_trajectories(WRITTEN, parts=["state"])[0]) == 5


def test_an_empty_task(tmp_path) -> None:
    folder = version_2(tmp_path / "set")
    (folder / "meta/tasks.jsonl").write_text('{"task_index": 0, "task": " "}\n{"task_index": 1, "task": ""}')
    (folder / "meta/episodes.jsonl").write_text(
        '{"episode_index": 0, "length": 3}\n{"episode_index": 1, "length": 4}'
    )
    with pytest.raises(InputError, match="episode 0: instruction is None, expected what was to be done"):
        read_trajectories(folder)[0]
    assert read_trajectories(folder, instruction="lift")[0].instruction == "lift"


def made(number: int, **fields: Any) -> Trajectory:
    steps = 4 + number
    rng = np.random.default_rng(number)
    parts: dict[str, Any] = {
        "state": rng.normal(size=(steps + 1, 3)).astype(np.float32),
        "camera": np.full((steps + 1, 32, 64, 3), 40 * number, np.uint8),
        "grip": np.arange(steps + 1) % 2 == 0,
        "note": tuple("ab"[t % 2] for t in range(steps + 1)),
    }
    asked = f"task {number}"
    if number == 2:
        parts["instruction"] = tuple("first" if t < 3 else "then" for t in range(steps + 1))
        asked = "first"
    actions = rng.normal(size=(steps, 2))
    return Trajectory(asked, {**parts, **fields}, actions, np.arange(steps) * 1.0, number > 0, True)


@pytest.mark.parametrize("pictures", ["video", "image"])
def test_what_is_written_is_read(pictures, tmp_path) -> None:
    if pictures == "video":
        pytest.importorskip("av", reason='av is not installed: pip install "biddable[robots]"')
    trajectories = [made(number) for number in range(3)]
    folder = write_lerobot(trajectories, tmp_path / "ours", 20, pictures=pictures, robot="arm")
    data = read_trajectories(folder)
    assert (len(data), data.spec.fps, data.spec.steps) == (3, 20, 15)
    for ours, theirs in zip(trajectories, data, strict=True):
        assert (theirs.instruction, theirs.success) == (ours.instruction, ours.success)
        assert np.array_equal(theirs.actions, ours.actions)
        assert np.array_equal(theirs.rewards, ours.rewards)
        assert theirs.observations.keys() == ours.observations.keys()
        for name, values in ours.observations.items():
            read = theirs.observations[name]
            if name == "camera":
                assert np.abs(read[:-1].astype(int) - values[:-1]).max() <= (4 if pictures == "video" else 0)
            elif isinstance(values, tuple):
                assert read[:-1] == values[:-1]
            else:
                assert np.array_equal(read[:-1], values[:-1])
    statistics = json.loads((folder / "meta/stats.json").read_text())
    actions = np.concatenate([each.actions for each in trajectories])
    assert np.allclose(statistics["action"]["mean"], actions.mean(0))
    assert np.allclose(statistics["action"]["std"], actions.std(0))
    assert np.shape(statistics["observation.camera"]["mean"]) == (3, 1, 1)


def test_choices_and_where_it_was_cut_off_are_read_as_they_were(tmp_path) -> None:
    seen = {"state": np.zeros((4, 2), np.float32)}
    choices = [
        Trajectory("go", seen, np.array([0, 2, 1]), np.zeros(3), None, ended, not ended)
        for ended in (True, False)
    ]
    data = read_trajectories(write_lerobot(choices, tmp_path / "ours", 10.0))  # type: ignore[arg-type]
    assert (data.spec.action.kind, data.spec.action.shape) == ("discrete", ())
    assert [each.actions.tolist() for each in data] == [[0, 2, 1]] * 2
    assert [(each.terminated, each.truncated) for each in data] == [(True, False), (False, True)]
    table = pq.read_table(tmp_path / "ours/data/chunk-000/file-000.parquet")
    assert table["next.done"].to_pylist() == [False, False, True] * 2, "as LeRobot has it"


@pytest.mark.parametrize(
    ("rows", "problem"), [([[0.0, 1.0, 2.0], [3.0], [4.0, 5.0]], "several"), ([[0.0, 1.0], None], "missing")]
)
def test_rows_of_several_lengths_do_not_move_into_one_another(rows, problem, tmp_path) -> None:
    folder = version_2(tmp_path / "set")

    def crooked(table: pa.Table) -> pa.Table:
        column = pa.array((rows * 2)[: len(table)], pa.list_(pa.float64()))
        return table.set_column(table.column_names.index("action"), "action", column)

    rewrite(folder / "data/chunk-000/episode_000000.parquet", crooked)
    with pytest.raises(FileError, match=f"episode 0 cannot be read: .*{problem}"):
        read_trajectories(folder)[0]


def test_what_cannot_be_written_leaves_nothing(tmp_path) -> None:
    good = made(0)
    for other, message in [
        (
            made(1, state=np.zeros((6, 4), np.float32)),
            r"trajectories\[1\]'s observation.state is 'float32 \(4,\)'",
        ),
        (made(1, state=np.zeros((6, 3))), r"observation.state is 'float64 \(3,\)', expected float32 \(3,\)"),
        (made(1, camera=None), r"trajectories\[1\].camera is None, expected 6, one more than actions"),
    ]:
        with pytest.raises(InputError, match=message):
            write_lerobot([good, other], tmp_path / "ours", 20, pictures="image")
        assert list(tmp_path.iterdir()) == []
    with pytest.raises(InputError, match=r"fps is 29.97, expected an integer"):
        write_lerobot([good], tmp_path / "ours", 29.97)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="numbers of one shape, or texts"):
        write_lerobot([made(0, page=({},) * 5)], tmp_path / "ours", 20)
    with pytest.raises(InputError, match="trajectories is 'none'"):
        write_lerobot([], tmp_path / "ours", 20)
    (tmp_path / "ours").mkdir()
    with pytest.raises(RunError, match="holds something already"):
        write_lerobot([good], tmp_path / "ours", 20)
