"""Policies that act on web pages: pages as arrays, QWeb, curricula, instructions that are made up."""
