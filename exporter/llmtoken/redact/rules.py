"""The rules that have a name: what each looks for, and the sets that switch many on at once.

A pattern is for RE2, which takes time in proportion to the text whatever the pattern is. What a
pattern can't tell (checksums, who issues such a number) its check does. Boundaries matter:
pictures are base64, where every short word comes up by chance. Must not know what is done
with a finding.

Sources of the shapes: the providers' own pages on their keys, and GitHub's list of
https://docs.github.com/code-security/secret-scanning/introduction/supported-secret-scanning-patterns
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from llmtoken.redact import numbers

Check = Callable[[bytes, int, int], int]
"""Of a text and a match in it: where the finding ends, 0 when it is none."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What to look for. Of a pattern with a group, the group is the finding."""

    name: str
    pattern: str
    check: Check | None = None
    hint: str = ""
    """A pattern that finds something in whatever has a finding, escaped or not, where that doesn't follow from
    `pattern`: because white space may be within, or quotes."""
    short: bool = False
    """Matches are bounded in length, so that after a match that is no finding the next may begin within it."""


def _has_digit(text: bytes, start: int, end: int) -> int:
    """A key, and not words with hyphens."""
    return end if any(48 <= byte <= 57 for byte in text[start:end]) else 0  # noqa: PLR2004 - "0" to "9"


_WORD = r"[A-Za-z0-9_-]"
_ARMOUR = r"[A-Za-z0-9+/=\s:;,.()@_]"

SECRETS = (
    Rule("anthropic_key", rf"\bsk-ant-{_WORD}{{16,}}"),
    Rule("openai_key", rf"\bsk-(?:proj|svcacct|admin|service|None)-{_WORD}{{16,}}|\bsess-[A-Za-z0-9]{{32,}}"),
    Rule("openrouter_key", rf"\bsk-or-{_WORD}{{16,}}"),
    # OpenAI's first keys, DeepSeek's, LiteLLM's and many more.
    Rule("sk_key", rf"\bsk-{_WORD}{{16,}}", _has_digit),
    Rule("google_key", rf"\bAIza{_WORD}{{35}}(?:\b|$)|\bya29\.{_WORD}{{20,}}|\bGOCSPX-{_WORD}{{20,}}"),
    Rule("aws_access_key", r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}\b"),
    Rule(
        "aws_secret_key",
        r"(?i)\b(?:aws_?(?:secret|session)_?(?:access_?)?(?:key|token)|secret_?access_?key)[\"'\s:=>,]{1,8}"
        r"([A-Za-z0-9/+]{40,}=*)",
        hint=r"(?i)(?:aws_?(?:secret|session)_?(?:access_?)?(?:key|token)|secret_?access_?key)",
    ),
    Rule("aws_bedrock_key", r"\bABSK[A-Za-z0-9+/]{40,}=*|\bbedrock-api-key-[A-Za-z0-9+/=_-]{40,}"),
    Rule("azure_key", r"(?i)\b(?:AccountKey|SharedAccessKey|SharedAccessSignature)=([A-Za-z0-9+/%]{32,}=*)"),
    Rule("github_token", r"gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,}"),
    Rule("gitlab_token", rf"\bgl(?:pat|ptt|dt|rt|cbt|ft|soat|agent|imt)-{_WORD}{{20,}}"),
    Rule(
        "slack_token", r"\bx(?:ox[abceoprs]|app)-[A-Za-z0-9-]{10,}|hooks\.slack\.com/(?:services|workflows)/[\w/]{20,}"
    ),
    Rule("discord_webhook", rf"discord(?:app)?\.com/api/webhooks/[0-9]+/{_WORD}{{40,}}"),
    Rule("telegram_token", rf"\b[0-9]{{8,10}}:AA{_WORD}{{33}}(?:\b|$)"),
    Rule("hugging_face_token", r"\bhf_[A-Za-z0-9]{30,}|\bapi_org_[A-Za-z0-9]{30,}"),
    Rule("stripe_key", r"\b[rs]k_(?:live|test)_[A-Za-z0-9]{16,}|\bwhsec_[A-Za-z0-9+/]{24,}=*"),
    Rule("groq_key", r"\bgsk_[A-Za-z0-9]{40,}"),
    Rule("xai_key", r"\bxai-[A-Za-z0-9]{40,}"),
    Rule("perplexity_key", r"\bpplx-[A-Za-z0-9]{32,}"),
    Rule("replicate_token", r"\br8_[A-Za-z0-9]{32,}"),
    Rule("fireworks_key", r"\bfw_[A-Za-z0-9]{22,}"),
    Rule("nvidia_key", rf"\bnvapi-{_WORD}{{40,}}"),
    Rule("databricks_token", r"\bdapi[a-f0-9]{32}\b"),
    Rule("langsmith_key", r"\blsv2_(?:pt|sk)_[a-f0-9]{32}_[a-f0-9]{10}"),
    Rule("tavily_key", rf"\btvly-(?:dev-|prod-)?{_WORD}{{20,}}"),
    Rule("notion_token", r"\b(?:ntn_|secret_)[A-Za-z0-9]{40,}"),
    Rule("linear_key", r"\blin_(?:api|oauth)_[A-Za-z0-9]{32,}"),
    Rule("sendgrid_key", rf"\bSG\.{_WORD}{{20,}}\.{_WORD}{{30,}}"),
    Rule("twilio_key", r"\bSK[a-f0-9]{32}\b"),
    Rule("mailgun_key", r"\bkey-[a-f0-9]{32}\b"),
    Rule("npm_token", r"\bnpm_[A-Za-z0-9]{36}"),
    Rule("pypi_token", rf"\bpypi-AgE{_WORD}{{50,}}"),
    Rule("docker_token", rf"\bdckr_(?:pat|oat)_{_WORD}{{20,}}"),
    Rule("digitalocean_token", r"\bdo[opr]_v1_[a-f0-9]{64}"),
    Rule("shopify_token", r"\bshp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}"),
    Rule("vault_token", rf"\bhv[sbr]\.{_WORD}{{24,}}"),
    Rule("grafana_token", r"\bgl(?:sa_[A-Za-z0-9]{32}_[a-fA-F0-9]{8}|c_[A-Za-z0-9+/]{32,}=*)"),
    Rule("newrelic_key", r"\bNRAK-[A-Z0-9]{27}"),
    Rule("age_key", r"\bAGE-SECRET-KEY-1[0-9A-Z]{58}"),
    Rule("jwt", rf"\beyJ{_WORD}{{10,}}\.{_WORD}{{10,}}(?:\.{_WORD}*)*"),
    Rule(
        "private_key",  # as far as it arrived
        rf"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----{_ARMOUR}*(?:-{_ARMOUR}+)*"
        r"(?:-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----)?",
        hint="-----BEGIN [A-Z0-9 ]*PRIVATE KEY",
    ),
    Rule(
        "authorization",
        r"(?i)\b(?:bearer|basic)\s+([A-Za-z0-9._~+/-]{16,}=*)",
        _has_digit,
        hint=r"(?i)(?:bearer|basic)[\s\\]+[nrt]?[A-Za-z0-9._~+/-]{16}",
    ),
    Rule("url_password", r"\b[A-Za-z][A-Za-z0-9+.-]*://[^\s/@:\"']*:([^\s/@\"']+)@"),
)
"""What lets somebody in. Nobody needs it in an audit."""

_LETTER = r"A-Za-z\x{C0}-\x{24F}\x{370}-\x{52F}"
"""Of scripts that put spaces between words: in others a whole sentence would stand before the @."""

PERSONAL = (
    Rule(
        "email",
        rf"[{_LETTER}0-9._%+'-]+@(?:[{_LETTER}0-9-]+\.)+[{_LETTER}]{{2,}}",
        numbers.email,
        hint=r'[^\s@"]@[^\s@"]',
    ),
    Rule(
        "phone",
        r"(?:\+|\b00)[1-9](?:[ ./\x{A0}-]{0,2}(?:\([0-9]{1,5}\)|[0-9])){6,16}"
        r"|\(?\b[2-9][0-9]{2}\)?[ .-][2-9][0-9]{2}[ .-][0-9]{4}\b"
        r"|\(?\b0[1-9][0-9]{1,4}(?:\)? ?[ /-] ?)[0-9](?:[ -]?[0-9]){4,9}\b",
        numbers.phone,
        short=True,
    ),
    Rule("iban", r"(?i)\b[A-Z]{2}[0-9]{2}(?:[ \x{A0}-]?[A-Z0-9]){11,30}", numbers.iban, short=True),
    Rule("payment_card", r"\b[2-6](?:[ \x{A0}-]?[0-9]){12,18}\b", numbers.payment_card, short=True),
)
"""What tells who somebody is, or what pays for him."""

RULES = {rule.name: rule for rule in (*SECRETS, *PERSONAL)}
SETS = {
    "secrets": tuple(rule.name for rule in SECRETS),
    "pii": tuple(rule.name for rule in PERSONAL),
}
