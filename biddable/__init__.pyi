# What biddable/__init__.py finds when it is asked for, as type checkers see it; a test compares the two.
from biddable.envs.base import make_env as make_env
from biddable.judges.base import Judge as Judge
from biddable.judges.load import load_judge as load_judge
from biddable.methods.base import run as run
from biddable.methods.training import fit as fit
from biddable.models.base import Sampling as Sampling
from biddable.models.load import load_model as load_model
from biddable.policies.datasets import read_trajectories as read_trajectories
from biddable.policies.saved import load_policy as load_policy
from biddable.runs.run import Run as Run
from biddable.suites.base import Suite as Suite
from biddable.suites.comparison import compare_logs as compare_logs
from biddable.suites.evaluate import evaluate as evaluate
from biddable.suites.load import load_suite as load_suite
from biddable.suites.logs.read import read_logs as read_logs
from biddable.types import Chat as Chat
from biddable.types import Check as Check
from biddable.types import Comparison as Comparison
from biddable.types import Message as Message
from biddable.types import Preference as Preference
from biddable.types import Response as Response
from biddable.types import Task as Task
from biddable.types import Trajectory as Trajectory
from biddable.types import Verdict as Verdict
from biddable.types import user as user

__version__: str
__all__: list[str]
