"""The OpenAI protocol, from both ends: a client for any server that speaks it, and a server for any model."""
