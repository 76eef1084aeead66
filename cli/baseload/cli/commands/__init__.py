"""One module per command. Imports that a command needs beyond parsing stand in its function: `plan` must be quick."""
