"""The parts of `bench/overhead.py`: what is compared (`variants`), inside what (`gateway`, `programs`), and how.

`traffic` measures calls that go well, `lives` what a Traefik process is like at its worst, `table` shows both.
"""
