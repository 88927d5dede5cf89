"""Ray as a hirer of agents: it finds machines and reserves room on them. No call, value or retry goes through it."""
