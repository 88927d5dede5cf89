"""Search methods side by side on held-out Countdown puzzles, with the real model: `headway bench search`."""
