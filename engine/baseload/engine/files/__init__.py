"""The files that both engines share, in Pulumi's own format: project and stack settings, state, locks, secrets."""
