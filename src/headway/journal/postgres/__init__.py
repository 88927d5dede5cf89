"""The store of many machines: a Postgres database, with large blobs beside it."""
