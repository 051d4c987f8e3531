"""One file a protocol, each with `run(data, result)`: recorded answers of its pools. The suite `pools` finds them."""
