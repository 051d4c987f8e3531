"""Graph state: pools and tracked accounts, sharded by address, with an undo journal for reorgs."""
