"""What `llmtoken audit verify` says of the seals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmtoken.audit import Proof
from llmtoken.cli.console import out, printable


def show(proof: Proof) -> None:
    """Print what was found; nothing where there are no seals and none were asked for."""
    for finding in proof.findings:
        named = ", ".join(map(_named, finding.first))
        more = ", …" if finding.count > len(finding.first) else ""
        out.print(f"{finding.count:,} {finding.meaning}: {named}{more}", style="red", markup=False, soft_wrap=True)
    if proof.chains and proof.whole:
        out.print("[green]Every sealed call and body is as it was stored, or has a mark that says otherwise.[/green]")
    if proof.chains:
        how = (
            "seals made with your key" if proof.keyed else "seals without a key: note the heads where nobody can write"
        )
        out.print(f"{proof.calls:,} calls held against {how}; {proof.deleted:,} more were deleted with a mark")
    for gap in proof.gaps:
        whose = f" by {gap.instance}" if gap.instance else ""
        until = f"until {gap.ended_at}" if gap.ended_at else "until now"
        out.print(f"{gap.calls:,} calls aren't sealed: stored{whose} while sealing was off, {until}", markup=False)
    for chain in proof.chains:
        name = chain.instance or "deletions and corrections"
        out.print(
            f"{name}: seal {chain.sequence:,} of {chain.made_at}, head {chain.head}", markup=False, soft_wrap=True
        )


def _named(where: Mapping[str, Any]) -> str:
    """A call by both its ids, a seal by its chain and place."""
    if "call_id" in where:
        request_id = where.get("request_id")
        return str(where["call_id"]) + (f" ({printable(str(request_id))})" if request_id is not None else "")
    if "sequence" in where:
        return f"{where['sequence']} of {printable(str(where['instance'])) or 'deletions and corrections'}"
    if "ids" in where:
        return "between {} and {}".format(*where["ids"])
    return str(where["head"])
