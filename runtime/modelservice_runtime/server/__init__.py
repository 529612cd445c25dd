"""Two HTTP servers in one event loop: inference for clients, admin for the platform."""
