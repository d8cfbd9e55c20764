"""Made-up secrets of every shape. They are put together here, so that no scanner takes this file for a leak."""

from __future__ import annotations

import base64
import random
import string

ALNUM = string.ascii_letters + string.digits
HEX = "0123456789abcdef"


def _some(count: int, letters: str = ALNUM, seed: int = 1) -> str:
    # Ends in a digit and begins with a letter, so that no boundary depends on chance.
    chosen = random.Random(seed)  # noqa: S311 - made up
    return "".join(chosen.choice(letters) for _ in range(count - 2)) + "7" + chosen.choice("23456")


def luhn(digits: str) -> str:
    """The digits with their check digit."""
    values = [int(digit) for digit in reversed(digits)]
    total = sum(sum(divmod(2 * value, 10)) for value in values[::2]) + sum(values[1::2])
    return digits + str(-total % 10)


def iban(country: str, account: str) -> str:
    """The IBAN of an account, with its check digits."""
    digits = "".join(str(int(character, 36)) for character in f"{account}{country}00")
    return f"{country}{98 - int(digits) % 97:02}{account}"


def _grouped(text: str, count: int = 4) -> str:
    return " ".join(text[start : start + count] for start in range(0, len(text), count))


def pem(seed: int, kind: str = "RSA ") -> str:
    body = base64.b64encode(_some(90, seed=seed).encode()).decode()
    lines = "\n".join(body[start : start + 64] for start in range(0, len(body), 64))
    return f"-----BEGIN {kind}PRIVATE KEY-----\n{lines}\n-----END {kind}PRIVATE KEY-----"


def jwt(seed: int) -> str:
    def part(text: str) -> str:
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    return ".".join(
        (part('{"alg":"HS256","typ":"JWT"}'), part(f'{{"sub":"{_some(12, seed=seed)}"}}'), _some(43, seed=seed))
    )


def shapes(seed: int) -> dict[str, list[str]]:
    """One or more of every rule, others for every seed."""

    def some(count: int, letters: str = ALNUM) -> str:
        return _some(count, letters, seed)

    upper, digits = string.ascii_uppercase + string.digits, string.digits
    return {
        "anthropic_key": [f"sk-ant-api03-{some(93)}"],
        "openai_key": [f"sk-proj-{some(48)}", f"sk-svcacct-{some(60)}"],
        "openrouter_key": [f"sk-or-v1-{some(64, HEX)}"],
        "sk_key": [f"sk-{some(48)}"],
        "google_key": [f"AIza{some(35)}", f"ya29.{some(60)}"],
        "aws_access_key": [f"AKIA{some(16, upper)}", f"ASIA{some(16, upper)}"],
        "aws_secret_key": [f"aws_secret_access_key = {some(40)}"],
        "aws_bedrock_key": [f"ABSK{some(120)}"],
        "azure_key": [f"AccountKey={some(86)}=="],
        "github_token": [f"ghp_{some(36)}", f"github_pat_{some(22)}_{some(59)}"],
        "gitlab_token": [f"glpat-{some(20)}"],
        "slack_token": [f"xoxb-{some(11, digits)}-{some(12, digits)}-{some(24)}"],
        "discord_webhook": [f"discord.com/api/webhooks/{some(18, digits)}/{some(68)}"],
        "telegram_token": [f"{some(9, '123456789')}:AA{some(33)}"],
        "hugging_face_token": [f"hf_{some(34)}"],
        "stripe_key": [f"sk_live_{some(24)}", f"rk_test_{some(24)}"],
        "groq_key": [f"gsk_{some(52)}"],
        "xai_key": [f"xai-{some(80)}"],
        "perplexity_key": [f"pplx-{some(48)}"],
        "replicate_token": [f"r8_{some(37)}"],
        "fireworks_key": [f"fw_{some(24)}"],
        "nvidia_key": [f"nvapi-{some(64)}"],
        "databricks_token": [f"dapi{some(32, HEX)}"],
        "langsmith_key": [f"lsv2_pt_{some(32, HEX)}_{some(10, HEX)}"],
        "tavily_key": [f"tvly-{some(32)}"],
        "notion_token": [f"ntn_{some(46)}"],
        "linear_key": [f"lin_api_{some(40)}"],
        "sendgrid_key": [f"SG.{some(22)}.{some(43)}"],
        "twilio_key": [f"SK{some(32, HEX)}"],
        "mailgun_key": [f"key-{some(32, HEX)}"],
        "npm_token": [f"npm_{some(36)}"],
        "pypi_token": [f"pypi-AgEIcHlwaS5vcmc{some(120)}"],
        "docker_token": [f"dckr_pat_{some(27)}"],
        "digitalocean_token": [f"dop_v1_{some(64, HEX)}"],
        "shopify_token": [f"shpat_{some(32, HEX)}"],
        "vault_token": [f"hvs.{some(90)}"],
        "grafana_token": [f"glsa_{some(32)}_{some(8, HEX)}"],
        "newrelic_key": [f"NRAK-{some(27, upper)}"],
        "age_key": [f"AGE-SECRET-KEY-1{some(58, upper)}"],
        "jwt": [jwt(seed)],
        "private_key": [pem(seed), pem(seed, "")],
        "authorization": [f"Bearer {some(40)}"],
        "url_password": [f"postgres://app:{some(24)}@db"],
        "email": [f"{some(8)}@example.org", f"jürgen.{some(6)}@müller.example"],
        "phone": ["+49 170 " + some(7, "123456789"), "(415) 555-2671", "0170/" + some(7, "123456789")],
        "iban": [_grouped(iban("DE", some(18, "123456789"))), iban("GB", "NWBK" + some(14, "123456789"))],
        "payment_card": [_grouped(luhn("4" + some(14, digits))), luhn("37" + some(12, digits))],
    }


SHAPES = shapes(1)


def cores(rule: str, secret: str) -> list[str]:
    """What of a secret must not be found anywhere: all of it, or the part that lets somebody in."""
    if rule == "private_key":
        return [line for line in secret.splitlines() if not line.startswith("-----")]
    if rule == "url_password":
        return [secret.partition("@")[0].rpartition(":")[2]]
    if rule in ("aws_secret_key", "azure_key", "authorization"):
        return [secret.replace("=", " ", 1).split()[-1]]
    return [secret]
