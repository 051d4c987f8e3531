"""The sequencer's outside: records built from the node's answers, commands read, the log's tail read back."""
