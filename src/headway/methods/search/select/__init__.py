"""Which answer is returned, and which strategy fits a question."""
