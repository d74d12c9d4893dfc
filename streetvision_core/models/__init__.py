"""Models: one file per role, and one factory that knows the adapters."""
