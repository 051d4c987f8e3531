"""Settlement: every decision joined with what the chain did, predicted beside realised."""
