"""Wire formats only: what clients send and get, and nothing about how it is computed."""
