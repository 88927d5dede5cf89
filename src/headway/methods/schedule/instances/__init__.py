"""Problems to try schedulers on: generated, read from files, and the classic job shops."""
