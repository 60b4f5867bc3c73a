"""Methods that measure how well instructions are followed."""
