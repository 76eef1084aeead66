"""HOW people drive it: the `deploy` command."""
