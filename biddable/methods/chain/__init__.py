"""Chains: a TOML file of steps, each a run, and arms that share some of them and are compared at the end."""
