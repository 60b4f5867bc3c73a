"""Methods for policies that act in environments."""
