"""WHAT GETS BUILT: Pulumi components made from model specs."""
