"""Suites: tasks, how a model is asked, who judges and what is counted; records of answers, leaderboards."""
