"""What tools/yaegi rejects in a plugin, and what to write instead, by what Yaegi does with it."""

from support.yaegi_samples import misreading, panicking, running, starting

SAMPLES = [*starting.SAMPLES, *panicking.SAMPLES, *misreading.SAMPLES, *running.SAMPLES]
