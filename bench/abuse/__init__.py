"""A well-behaved client of a service, beside clients that are not."""
