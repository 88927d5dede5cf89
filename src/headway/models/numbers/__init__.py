"""Models that turn texts into numbers: vectors and scores."""
