"""WHAT IT COSTS: pure functions over model specs and dated prices; no Pulumi, no network, no clock."""
