"""The sequencer's decisions: how heads link, what is pending, which state is tracked, how events are stamped."""
