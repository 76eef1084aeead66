"""HOW people drive it: the `deploy` command.

Parses, calls one use case below, hands the result to a view. Knows every room; no room knows it.
"""
