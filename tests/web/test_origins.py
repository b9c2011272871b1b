"""Which hosts and which web pages may use a gateway without keys, and which origins CORS_ORIGINS has."""

import pytest

from gateway.config.parsers import host_names, origins
from gateway.web.origins import host_is_allowed, is_own_origin, origin_is_allowed, page_is_allowed

LOOPBACK_HOSTS = [
    "localhost",
    "LOCALHOST:8000",
    "localhost.",
    "localhost:",
    "app.localhost:3000",
    "127.0.0.1",
    "127.0.0.1:8000",
    "127.255.1.2:1",
    "[::1]",
    "[::1]:8000",
    "[0:0:0:0:0:0:0:1]",
]
FOREIGN_HOSTS = [
    "",
    "evil.example",
    "evil.example:8000",
    "localhost.evil.example",
    "evil-localhost",
    "127.0.0.1.evil.example",
    "128.0.0.1",
    "0.0.0.0",
    "10.0.0.1",
    "127.1",
    "[::]",
    "[::2]",
    "[::ffff:127.0.0.1]",
    "::1",
    "user@localhost",
    "localhost:80@evil.example",
    "localhost/evil.example",
    "localhost,evil.example",
    "localhost evil.example",
    "localhost:8000x",
    "localhost\n",
    f"{'x' * 300}.localhost",
]


@pytest.mark.parametrize("host", [None, *LOOPBACK_HOSTS])
def test_a_loopback_host_is_allowed_and_so_is_a_missing_one(host):
    assert host_is_allowed(host, ())


@pytest.mark.parametrize("host", FOREIGN_HOSTS)
def test_any_other_host_is_not_allowed(host):
    assert not host_is_allowed(host, ())


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("gateway.lan", True),
        ("GATEWAY.lan:8443", True),
        ("gateway.lan.", True),
        ("a.example.com", True),
        ("a.b.example.com", True),
        ("localhost", True),
        ("192.168.1.5:8000", True),
        ("[fd00::5]:8000", True),
        ("example.com", False),
        ("evilexample.com", False),
        ("a.example.com.evil.example", False),
        ("gateway.lan.evil.example", False),
        ("gatewayxlan", False),
    ],
)
def test_allowed_hosts_are_names_with_any_port_and_names_below_a_wildcard(host, allowed):
    names = host_names("Gateway.lan, *.example.com, 192.168.1.5, [fd00::5]")
    assert host_is_allowed(host, names) == allowed


@pytest.mark.parametrize("raw", ["gateway.lan:8000", "http://gateway.lan", "*", "a*.lan", "*.*.lan", "a/b", "a b"])
def test_allowed_hosts_that_are_no_names_are_an_error(raw):
    with pytest.raises(ValueError, match="host names"):
        host_names(raw)


@pytest.mark.parametrize(
    ("raw", "allowed", "refused"),
    [
        (
            "https://app.example.com",
            ["https://app.example.com", "https://APP.example.com", "https://app.example.com:443"],
            [
                "http://app.example.com",
                "https://app.example.com:444",
                "https://app.example.com.evil.net",
                "https://appxexample.com",
                "https://x.app.example.com",
                "https://app.example.com/",
                "https://app.example.com@evil.net",
                "null",
                "",
            ],
        ),
        (
            "https://*.example.com",
            ["https://x.example.com", "https://x.y.example.com", "https://X.Example.com"],
            [
                "https://example.com",
                "https://xexample.com",
                "https://.example.com",
                "https://x.example.com.evil.net",
                "https://xexample.com.evil.net",
                "https://evil.net/.example.com",
                "https://evil.net:1.example.com",
                "https://evil.net#.example.com",
                "https://evil.net@x.example.com",
                "https://x.example.com:8443",
                "http://x.example.com",
                "null",
            ],
        ),
        ("https://*.example.com:8443", ["https://a.example.com:8443"], ["https://a.example.com", "https://a.example.com:443"]),
        ("http://a.example:80/", ["http://a.example", "http://a.example:80"], ["https://a.example", "http://a.example:8"]),
        ("https://a.b", ["https://a.b"], ["https://axb", "https://ab"]),
        ("http://[fd00::5]:3000", ["http://[fd00::5]:3000"], ["http://[fd00::5]", "http://fd00::5:3000"]),
        ("tauri://localhost", ["tauri://localhost"], ["http://localhost", "https://localhost"]),
        ("*", ["https://anything.example", "null"], []),
        ("", [], ["https://anything.example", "null"]),
    ],
)  # fmt: skip
def test_cors_origins_are_exact_or_have_a_wildcard_for_the_names_below_a_host(raw, allowed, refused):
    patterns = origins(raw)
    assert [origin for origin in allowed if not origin_is_allowed(origin, patterns)] == []
    assert [origin for origin in refused if origin_is_allowed(origin, patterns)] == []


@pytest.mark.parametrize(
    "raw",
    [
        "null",
        "*.example.com",
        "example.com",
        "^https://a$",
        "https://app[.]example.com",
        "https://.*",
        "https://*",
        "https://a*.example.com",
        "https://*.*.com",
        "https://a.example/path",
        "https://user@a.example",
        "https://a.example, https://(a+)+$",
    ],
)
def test_cors_origins_that_are_no_origins_are_an_error(raw):
    with pytest.raises(ValueError, match="https://"):
        origins(raw)


@pytest.mark.parametrize(
    ("origin", "fetch_site", "host", "allowed"),
    [
        # No browser.
        (None, None, "127.0.0.1:8000", True),
        (None, None, None, True),
        # A page of the gateway, or of another server of this machine.
        ("http://127.0.0.1:8000", "same-origin", "127.0.0.1:8000", True),
        ("http://localhost:3000", "cross-site", "127.0.0.1:8000", True),
        ("https://app.localhost", "cross-site", "127.0.0.1:8000", True),
        ("http://[::1]:3000", None, "127.0.0.1:8000", True),
        ("https://gateway.lan", "same-origin", "gateway.lan", True),
        ("https://gateway.lan", "same-origin", "gateway.lan:443", True),
        ("http://gateway.lan:8000", None, "Gateway.lan:8000", True),
        # Requests without an Origin.
        (None, "same-origin", "127.0.0.1:8000", True),
        (None, "none", "127.0.0.1:8000", True),
        (None, "same-site", "localhost:8000", True),
        (None, "same-site", "gateway.lan:8000", False),
        (None, "same-site", None, False),
        (None, "cross-site", "127.0.0.1:8000", False),
        (None, "", "127.0.0.1:8000", False),
        (None, "nonsense", "127.0.0.1:8000", False),
        # CORS_ORIGINS.
        ("https://app.example.com", "cross-site", "127.0.0.1:8000", True),
        # Other pages.
        ("https://evil.example", "cross-site", "127.0.0.1:8000", False),
        ("https://evil.example", "same-origin", "127.0.0.1:8000", False),
        ("https://evil.example", "none", "127.0.0.1:8000", False),
        ("null", "cross-site", "127.0.0.1:8000", False),
        ("null", "same-origin", "127.0.0.1:8000", False),
        ("", None, "127.0.0.1:8000", False),
        ("http://gateway.lan:3000", "same-site", "gateway.lan:8000", False),
        ("http://127.0.0.1.evil.example", "cross-site", "127.0.0.1:8000", False),
        ("http://localhost.evil.example", "cross-site", "127.0.0.1:8000", False),
        ("http://localhost:3000, https://evil.example", None, "127.0.0.1:8000", False),
        ("ftp://localhost", None, "127.0.0.1:8000", False),
        ("http://localhost@evil.example", None, "127.0.0.1:8000", False),
    ],
)
def test_a_page_is_of_the_gateway_of_this_machine_or_of_cors_origins(origin, fetch_site, host, allowed):
    assert page_is_allowed(origin, fetch_site, host, origins("https://app.example.com")) == allowed


def test_cors_origins_of_all_pages_allow_those_that_send_no_origin():
    assert page_is_allowed(None, "cross-site", "127.0.0.1:8000", origins("*"))


@pytest.mark.parametrize(
    ("origin", "host"), [("https://a.example:8443", "a.example"), ("https://a.example", "a.example:80")]
)
def test_an_origin_with_another_port_than_the_host_is_not_the_gateways_own(origin, host):
    assert not is_own_origin(origin, host)
