"""The server: our engine behind the interface of OpenAI's chat completions."""
