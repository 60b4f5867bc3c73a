"""Methods that find better prompts."""
