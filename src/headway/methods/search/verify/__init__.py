"""Methods that check a solution before they trust it."""
