"""How calls and runs end: what is recorded, what is tried again, and which error the program sees."""
