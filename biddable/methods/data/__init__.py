"""Methods that make, filter or choose data to learn from."""
