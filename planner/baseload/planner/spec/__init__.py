"""Model specs: what to serve, as files and as values."""
