"""How far a scorer can be trusted, before a best-of-n is built on it: `headway bench scorer`."""
