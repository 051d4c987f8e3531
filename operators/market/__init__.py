"""The market as one view: what the shards hold, put together per event, and what each event makes of it."""
