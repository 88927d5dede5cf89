"""What is remembered: the store protocol, records, the codec, SQLite, blobs, the ledger. `records.py` says what a row means."""
