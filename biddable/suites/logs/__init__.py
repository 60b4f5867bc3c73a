"""Logs of evaluations, ours and other tools', read into one noun: items, and how each was scored."""

from biddable.suites.logs.base import Log, Logged
from biddable.suites.logs.read import Own, read_logs

__all__ = ["Log", "Logged", "Own", "read_logs"]
