"""Tamper evidence, where it is switched on: every call and body has a digest in a chain of seals.

Each commit of a collector is one seal over its calls, in the chain of that collector; each deletion and
correction is one in a chain that all share. A seal's link is made over the link before it, so what is changed,
taken out or put in by anybody else shows. With a key nobody else can make links; without one they can be made anew,
but not so that they end in a head that was noted before.
Must not know when and why calls are written, deleted or corrected; whoever does so says so, in the same transaction.

Which attacker is stopped by what: docs/adr/seals.md.
"""
