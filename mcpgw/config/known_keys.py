"""Keys of the reference implementation's gateway.yaml, which are not reported as unknown.

A leaf is None. A map with the single key `*` has arbitrary names; one with the single key `[]` is
a list of maps.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

Tree: TypeAlias = "Mapping[str, Tree] | None"

ANY_NAME = "*"
EACH_ITEM = "[]"


def _keys(names: str = "", **maps: Tree) -> Mapping[str, Tree]:
    return {**dict.fromkeys(names.split()), **maps}


def _each(names: str = "", **maps: Tree) -> Tree:
    return {EACH_ITEM: _keys(names, **maps)}


def _named(names: str = "", **maps: Tree) -> Tree:
    return {ANY_NAME: _keys(names, **maps)}


_BREAKER = _keys("enabled failure_threshold success_threshold reset_timeout")
_PROVIDERS = "local_process docker podman systemd launchd kubernetes"

_SERVER = _keys("host port ws_port request_timeout shutdown_timeout max_body_size public_url")
_AUTH = _keys(
    "enabled bearer_token public_paths single_user",
    client_circuit_breaker=_BREAKER,
    api_keys=_each("key name rate_limit backends allowed_tools denied_tools admin"),
)
_META_MCP = _keys(
    "enabled cache_tools cache_ttl warm_start projection_mode",
    surfaced_tools=_each("server tool"),
)
_STREAMING = _keys(
    "enabled buffer_size keep_alive_interval auto_subscribe session_ttl session_reaper_interval"
)
_FAILSAFE = _keys(
    circuit_breaker=_BREAKER,
    retry=_keys("enabled max_attempts initial_backoff max_backoff multiplier"),
    rate_limit=_keys("enabled requests_per_second burst_size"),
    health_check=_keys("enabled interval timeout"),
)
_BACKEND = _keys(
    "command cwd http_url streamable_http protocol_version a2a_url a2a_agent_card_path"
    " description enabled timeout stop_when_idle_for env headers passthrough runtime_profile"
    " idle_timeout",
    oauth=_keys(
        "enabled scopes client_id client_secret callback_host callback_port callback_path"
        " token_refresh_buffer_secs shared_account"
    ),
    secrets=_each("name credential_type value inject_as inject_key tools"),
    identity_propagation=_keys(
        "strategy audience required session_mode token_exchange_endpoint token_exchange_scope"
    ),
)
_SECURITY = _keys(
    "sanitize_input ssrf_protection trust_configured_backends provenance_stamping",
    tool_policy=_keys("enabled default_action allow deny use_default_deny log_denied"),
    firewall=_keys(
        "enabled scan_requests scan_responses prompt_injection_detection credential_redaction"
        " anomaly_detection anomaly_threshold anomaly_block_threshold audit_log",
        rules=_each("match action reason scan"),
        memory_poisoning=_keys("enabled max_entry_size_bytes scan_tools"),
    ),
    message_signing=_keys(
        "enabled shared_secret previous_secret require_nonce replay_window key_id"
    ),
    agent_identity=_keys("enabled require_id known_agents"),
    transparency_log=_keys("enabled path key_id shared_secret"),
    response_inspection=_keys("enabled action_mode"),
    response_contract=_keys(
        "enabled action_mode default_max_bytes fail_closed",
        tools=_named("max_bytes forbidden_patterns action_mode"),
    ),
    identity_grants=_keys("enabled path fail_on_error trust_caller_identity_headers"),
    context_integrity=_keys("preset non_bypassable"),
    claim_capture=_keys("enabled path"),
    remote_server_signing=_keys(
        "require_for_remote_backends",
        trusted_keys=_named("algorithm public_key"),
        backends=_named("subject issuer issued_at key_id signature"),
    ),
)
_COST_GOVERNANCE = _keys(
    "enabled currency default_cost tool_costs alternatives",
    budgets=_keys("daily per_tool per_key"),
    alerts=_each("at_percent action"),
)
_KEY_SERVER = _keys(
    "enabled token_ttl_secs max_tokens_per_identity max_oidc_token_age_secs"
    " cleanup_interval_secs admin_token delegated_bearer",
    oidc=_each("issuer audiences jwks_uri discovery_url auto_discover allowed_domains"),
    policies=_each(
        match=_keys("domain issuer email group"),
        scopes=_keys("backends tools rate_limit"),
    ),
)
_MTLS = _keys(
    "enabled server_cert server_key ca_cert require_client_cert crl_path",
    policies=_each(
        match=_keys("cn ou san_uri san_dns any"),
        allow=_keys("backends tools"),
        deny=_keys("backends tools"),
    ),
)
_RUNTIME = _keys(
    "default_provider",
    availability=_keys(_PROVIDERS),
    profiles=_named(
        # `network_egress` is a string or a map with an allow list.
        "provider executable image data_class env_keys guarded_env_keys network_egress privileged",
        mounts=_each("source target mode"),
        resources=_keys("cpu_cores memory_mb timeout_secs"),
        restart=_keys("max_restarts backoff_secs"),
    ),
)
_CONTROL_PLANE = _keys(
    role_mapping=_keys(rules=_each("issuer role group email domain")),
    export=_keys("enabled sink_path poll_interval_secs max_batch"),
)
_TOOL_PROFILES = _keys(
    "enabled persistence_path persistence_interval max_tools_tracked",
    analytics=_keys("latency_histogram error_categorization usage_trends"),
)

KNOWN_KEYS = _keys(
    "env_files default_routing_profile",
    server=_SERVER,
    auth=_AUTH,
    meta_mcp=_META_MCP,
    streaming=_STREAMING,
    failsafe=_FAILSAFE,
    backends={ANY_NAME: _BACKEND},
    capabilities=_keys("enabled name directories"),
    cache=_keys("enabled default_ttl max_entries"),
    playbooks=_keys("enabled directories"),
    code_mode=_keys("enabled"),
    marketplace=_keys("marketplace_url plugin_dir"),
    routing_profiles=_named("description allow_backends deny_backends allow_tools deny_tools"),
    webhooks=_keys("enabled base_path require_signature rate_limit"),
    security=_SECURITY,
    cost_governance=_COST_GOVERNANCE,
    key_server=_KEY_SERVER,
    agent_auth=_keys(
        "enabled",
        agents=_each("client_id name hs256_secret rs256_public_key scopes issuer audience"),
    ),
    mtls=_MTLS,
    runtime=_RUNTIME,
    control_plane=_CONTROL_PLANE,
    # These four are in an example file of the reference, whose code does not read them.
    semantic_search=_keys("enabled max_results min_score feedback_enabled feedback_decay"),
    tool_profiles=_TOOL_PROFILES,
    discovery=_keys(
        "enabled scan_interval auto_register quality_threshold",
        sources=_each("type enabled"),
    ),
    config_export=_keys("enabled format redact_secrets include_defaults"),
)
