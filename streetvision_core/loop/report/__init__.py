"""Pages that people read: the day, the week, one executed step. Each is one file without network and scripts."""
