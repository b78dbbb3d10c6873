"""Messages that no client would send, and calls that none would make: what the service bears."""
