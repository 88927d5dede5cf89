"""What calls wait for: each other, and signals from outside."""
