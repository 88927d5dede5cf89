"""Bytes that must last: content-addressed blobs, folders and object stores."""
