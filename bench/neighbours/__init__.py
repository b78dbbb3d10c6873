"""A quiet session of a service, and one beside it that burns whatever it gets."""
