"""One file per deployable flow, straight-line wiring; and the command line. Imports all other rooms."""
