"""Methods that decide when one train of thought has thought enough."""
