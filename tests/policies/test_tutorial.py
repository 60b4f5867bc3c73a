"""The tutorial on PPO with a shaped reward, as it stands in the manual, with few frames."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path

import numpy as np

from biddable import load_policy, make_env

PAGE = Path(__file__).parents[2] / "docs" / "ppo.md"


def test_it_runs_and_leaves_a_policy(tmp_path, monkeypatch, capsys) -> None:
    blocks = re.findall(r'```python title="shaped_ppo.py"\n(.*?)```', PAGE.read_text("utf-8"), re.DOTALL)
    (tmp_path / "shaped_ppo.py").write_text("\n\n".join(blocks), "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "shaped_ppo", raising=False)
    tutorial = importlib.import_module("shaped_ppo")
    tutorial.main(frames=2048, cases=2)
    assert re.fullmatch(r"plain: \d of 2 .*\nshaped: \d of 2 .*\n", capsys.readouterr().out)
    obs, _ = make_env(tutorial.ENV).reset(seed=0)
    assert load_policy("policy").act([obs])[0] in (0, 1, 2)


def test_shaping_sums_to_the_difference_of_potentials(tmp_path, monkeypatch) -> None:
    blocks = re.findall(r'```python title="shaped_ppo.py"\n(.*?)```', PAGE.read_text("utf-8"), re.DOTALL)
    names: dict = {"__name__": "shaped_ppo"}
    exec(compile("\n\n".join(blocks), "shaped_ppo.py", "exec"), names)
    env = names["Shaped"](make_env(names["ENV"]), 2.0)
    obs, _ = env.reset(seed=0)
    gamma, first, total = names["CONFIG"].gamma, names["potential"](obs["state"]), 0.0
    for t in range(20):
        obs, reward, *_ = env.step(t % 3)
        total += gamma**t * (reward + 1)
    assert np.isclose(total, 2.0 * (gamma**20 * names["potential"](obs["state"]) - first))
