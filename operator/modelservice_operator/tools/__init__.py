"""Generators of files that are committed, each with a check that fails when the file and its source differ."""
