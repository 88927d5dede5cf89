"""How a run is interrupted, and what happens to code that does not stop."""
