"""The store of one machine: a folder with an SQLite database and a folder of blobs."""
