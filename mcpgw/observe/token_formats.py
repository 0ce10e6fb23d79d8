"""Formats of tokens that can be recognised wherever they stand.

Each is the documented prefix of a service, with the length and the characters that follow. The
patterns are for the start of a word; what follows of the word belongs to the token.
"""

from __future__ import annotations

from typing import Final

_HEX: Final = "[0-9a-f]"
_UUID: Final = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"

_CODE_HOSTS: Final = (
    r"gh[pousr]_\w{16,}|github_pat_\w{16,}",
    r"gl(?:pat|dt|rtr?|ptt|ft|imt|agent|oas|soat|cbt|ffct)-[\w-]{16,}|GR1348941[\w-]{16,}",
    r"ATATT3[\w=-]{20,}|ATCTT3[\w=-]{20,}|ATBB[A-Za-z0-9]{20,}|ATTA[0-9a-f]{32,}",  # Atlassian
    r"npm_\w{30,}|pypi-[\w-]{30,}|rubygems_[0-9a-f]{32,}|dckr_[po]at_[\w-]{20,}",
    r"AKCp[A-Za-z0-9]{60,}|cmVmd[A-Za-z0-9]{50,}|oy2[a-z0-9]{43}|CLOJARS_[a-z0-9]{40,}",
    r"sgp_(?:[0-9a-f]{16}_|local_)?[0-9a-f]{40}|bkua_[0-9a-f]{40}|CCIPAT_\w{20,}",
    r"sq[apu]_[0-9a-f]{40}|PMAK-[0-9a-f]{24}-[0-9a-f]{30,}",  # SonarQube, Postman
)
_CLOUDS: Final = (
    r"(?:AKIA|ASIA|ABIA|ACCA)[0-9A-Z]{16}|ABSK[A-Za-z0-9+/]{40,}={0,2}",  # AWS
    r"AIza[\w-]{30,}|ya29\.[\w-]{16,}|GOCSPX-[\w-]{16,}|1//0[\w-]{20,}",  # Google
    r"[\w~.-]{3}\dQ~[\w~.-]{31,}",  # Microsoft Entra
    r"do[opr]_v1_[0-9a-f]{32,}|HRKU-[\w-]{30,}|FlyV1[ ][\w+/=,-]{20,}|fo1_[\w-]{40,}",
    r"fm[12][ar]?_[\w+/=-]{40,}|rnd_\w{20,}|nfp_\w{30,}|sbp_[0-9a-f]{32,}|sb_secret_[\w-]{20,}",
    r"v1\.0-[0-9a-f]{24}-[0-9a-f]{100,}|LTAI[A-Za-z0-9]{16,}|AKID[A-Za-z0-9]{32,}",
    r"dapi[0-9a-f]{32}|pscale_(?:tkn|pw|oauth|api)_[\w.=-]{20,}|mdb_sa_sk_[\w-]{20,}",
    r"hv[bprs]\.[\w-]{20,}|dp\.(?:pt|st|ct|sa|scim|audit)\.[\w.-]{20,}|pul-[0-9a-f]{40}",
    r"[A-Za-z0-9]{14}\.atlasv1\.[\w-]{40,}|ops_eyJ[\w+/=-]{40,}",  # Terraform, 1Password
    r"AGE-SECRET-KEY-1[0-9A-Z]{40,}|tskey-[\w-]{16,}|sha256~[\w-]{40,}",
    r"pnu_[a-z0-9]{36}|pat\.[\w-]{22}\.[0-9a-f]{24}\.\w{20}|API-[A-Z0-9]{26}",
)
_MODELS: Final = (
    r"sk-(?=[\w-]*\d)[\w-]{16,}",  # OpenAI, Anthropic, OpenRouter and others
    r"gsk_\w{20,}|xai-[\w-]{20,}|pplx-\w{20,}|r8_\w{20,}|hf_\w{20,}|api_org_\w{20,}",
    r"nvapi-[\w-]{30,}|csk-[a-z0-9]{30,}|fw_[A-Za-z0-9]{20,}|esecret_\w{20,}|pcsk_\w{20,}",
    r"lsv2_(?:pt|sk)_[0-9a-f]{20,}|jina_\w{30,}|e2b_[0-9a-f]{32,}|apify_api_\w{20,}",
    r"tvly-[\w-]{16,}|fc-[0-9a-f]{24,}|ctx7sk-[\w-]{16,}|BSA[\w-]{24,}|sk_[0-9a-f]{32,}",
)
_PRODUCTS: Final = (
    r"(?:[sr]k|pk)_(?:live|test|prod)_\w{16,}|whsec_[\w+/=-]{16,}",  # Stripe
    r"xox[a-z](?:\.xox[bp])?-[\w-]{8,}|xapp-[\w-]{8,}",  # Slack
    r"[0-9]{6,12}:A[\w-]{32,}",  # Telegram
    r"[MNO][\w-]{22,28}\.[\w-]{6}\.[\w-]{27,}",  # Discord
    r"SG\.[\w-]{16,}\.[\w-]{16,}|key-[0-9a-f]{32}|[0-9a-f]{32}-us[0-9]{1,2}",
    r"SK[0-9a-f]{32}|xkeysib-[0-9a-f]{40,}|re_[A-Za-z0-9]{6,10}_[A-Za-z0-9]{16,}",
    r"ntn_\w{30,}|secret_(?=[A-Za-z]*[0-9])[A-Za-z0-9]{40,}|lin_(?:api|oauth)_\w{30,}",
    r"fig[dou]_[\w-]{30,}|pat[A-Za-z0-9]{14}\.[0-9a-f]{40,}|pk_[0-9]{4,}_[A-Z0-9]{30,}",
    rf"pat-(?:na|eu|ap)[0-9]-{_UUID}|access-(?:sandbox|development|production)-{_UUID}",
    r"shp(?:at|ca|pa|ss|ua)_[0-9a-fA-F]{24,}|sq0(?:atp|csp|idp)-[\w-]{20,}|EAAA[\w-]{56,}",
    r"EAA[A-Z][A-Za-z0-9]{80,}|AAAAAAAAAAAAAAAAAAAAA[\w%]{30,}|sl\.[\w-]{60,}",
    r"FLWSECK(?:_TEST)?-[\w-]{20,}|rzp_(?:live|test)_\w{14,}|EZ[AT]K[A-Za-z0-9]{50,}",
    r"shippo_(?:live|test)_[0-9a-f]{40}|duffel_(?:live|test)_[\w=-]{40,}|tfp_[\w.=-]{40,}",
    r"access_token\$production\$[a-z0-9]{16}\$[0-9a-f]{32}|CFPAT-[\w-]{40,}",
    r"00D[A-Za-z0-9]{12,15}![\w.]{60,}",  # Salesforce
)
_MONITORING: Final = (
    r"NRAK-[A-Z0-9]{20,}|NR(?:JS|II|RA|IQ)-[\w-]{16,}|sntry[su]_[\w+/=-]{20,}",
    r"glsa_\w{32}_[0-9a-fA-F]{8}|glc_[\w+/=]{32,}|dt0[a-zA-Z][0-9]{2}\.[A-Z0-9]{24}\.[A-Z0-9]{40,}",
    r"hc[a-z]ik_\w{20,}|phx_\w{30,}",
)
_JWT: Final = (r"(?:[sp]k\.)?eyJ[\w-]{5,}\.[\w-]{5,}(?:\.[\w-]*){1,4}", r"eyJrIjoi[\w+/=-]{30,}")

TOKENS: Final = (
    *(*_CODE_HOSTS, *_CLOUDS, *_MODELS),
    *(*_PRODUCTS, *_MONITORING, *_JWT),
)
"""Patterns of tokens, case-sensitive; each may have several alternatives."""

SECRET_URLS: Final = (
    r"https://hooks\.slack\.com/[a-z]{1,20}/(?P<secret>[\w/-]{8,})",
    r"https://(?:\w{1,20}\.)?discord(?:app)?\.com/api/(?:v\d{1,2}/)?webhooks/(?P<secret>[\w/-]{8,})",
    r"\.webhook\.office\.com/webhookb2/(?P<secret>[\w@/-]{8,})",
    r"api\.telegram\.org/(?:file/)?bot(?P<secret>[\w:-]{20,})",
)
"""Patterns of URLs that are credentials; their group `secret` is the secret part."""
