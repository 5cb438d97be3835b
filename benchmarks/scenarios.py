"""What the clients ask for."""

from __future__ import annotations

from dataclasses import dataclass, replace

BROWSER_HEADERS = (
    ("Connection", "keep-alive"),
    ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
    ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"),
    ("Accept-Language", "en-GB,en;q=0.7,de;q=0.3"),
    ("Accept-Encoding", "gzip, deflate, br, zstd"),
    ("Referer", "http://www.example.com/catalogue/parts?page=2&sort=name"),
    ("Cookie", "session=2|1:0|10:1700000000|7:session|8:YWJjZGVm|0123456789abcdef; theme=dark; consent=yes"),
    ("Cache-Control", "no-cache"),
    ("Upgrade-Insecure-Requests", "1"),
    ("Sec-Fetch-Dest", "document"),
    ("Sec-Fetch-Mode", "navigate"),
)
"""With Host, which the client adds, these are twelve."""


@dataclass(frozen=True)
class Scenario:
    name: str
    title: str
    path: str
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    body_bytes: int = 0
    depth: int = 1
    """Requests sent in one write; above 1 the scenario is pipelined and stays out of the headline table."""
    tls: bool = False

    def body(self) -> bytes:
        return (b"0123456789abcdef" * (self.body_bytes // 16 + 1))[: self.body_bytes]

    def raw_request(self, host: str) -> bytes:
        """One request as wire bytes: what request.lua sends, for the answer check and for the clients written in Python."""
        lines = [f"{self.method} {self.path} HTTP/1.1", f"Host: {host}"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        if self.body_bytes:
            lines.append(f"Content-Length: {self.body_bytes}")
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + self.body()

    def script_arguments(self) -> list[str]:
        flat = [part for header in self.headers for part in header]
        return [str(self.depth), self.method, self.path, str(self.body_bytes), *flat]


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("hello", "Hello, world", "/"),
        Scenario("json", "JSON with a path and a query argument", "/items/4217?q=blue"),
        Scenario("browser", "Hello, world asked with 12 headers", "/", headers=BROWSER_HEADERS),
        Scenario("post", "10 KB POST echo", "/echo", method="POST", body_bytes=10240),
        Scenario("page", "template page of 20 rows", "/page"),
        Scenario("https", "Hello, world over TLS", "/", tls=True),
    )
}


def pipelined(depth: int) -> Scenario:
    return replace(SCENARIOS["hello"], name="hello-pipelined", title=f"Hello, world pipelined {depth} deep", depth=depth)
