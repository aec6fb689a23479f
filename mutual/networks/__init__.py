"""Networks, and networks on disk."""
