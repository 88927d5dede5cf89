"""Published methods, each a short program on tasks, joins and scopes."""
