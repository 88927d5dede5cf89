"""What stores in an SQL database have in common: tables, checksums, and the transactions of what runs share."""
