"""What is checked around a call of a model: the request before anything is sent, what it costs at most, and what came of it."""
