"""The thinking: pure cores with thin Bytewax wrappers. No I/O, no clock, no randomness; imports schemas only."""
