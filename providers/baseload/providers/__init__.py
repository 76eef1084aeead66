"""HOW a platform without a good Pulumi provider is driven: native provider plugins and their API clients."""
