"""HOW a program becomes reality: the Pulumi CLI, or the embedded engine, behind one interface."""
