"""Methods that grow solutions step by step and decide who is continued."""
