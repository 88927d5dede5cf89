"""The Countdown model: a small transformer that solves number puzzles, its training and its puzzles."""
