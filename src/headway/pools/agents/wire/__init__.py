"""What a driver and an agent say to each other: the invitation, the proof of the token, TLS, frames."""
