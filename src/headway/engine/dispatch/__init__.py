"""From the ready queue to where a call's code runs, and back."""
