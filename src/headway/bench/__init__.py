"""Comparisons on real work, for `headway bench`. No other room imports this one, except the command line."""
