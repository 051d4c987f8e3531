"""One file a suite; `tests.acceptance.registry` finds them."""
