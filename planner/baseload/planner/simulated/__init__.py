"""A pool's month by seeded simulation, in place of the closed form or to check it."""
