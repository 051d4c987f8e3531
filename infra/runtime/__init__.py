"""Running things: child processes, start and drain of the entry points."""
