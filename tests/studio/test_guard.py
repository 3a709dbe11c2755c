"""Who is let in: only those who know the token, through the studio's own name, from the studio's own page."""

import pytest

pytest.importorskip("starlette", reason='the studio needs its extra: pip install "echomimic-studio[studio]"')

from starlette.testclient import TestClient

from echomimic.errors import SettingsError
from echomimic.studio.app import all_routes, make_app
from echomimic.studio.events import Events
from echomimic.studio.guard import POLICY, cookie_name
from echomimic.studio.serve import Serving, serve
from tests.studio.door import TOKEN, Door

HOSTS = (
    "evil.example",
    "evil.example:7777",
    "127.0.0.1.evil.example",
    "localhost.evil.example",
    "127.0.0.1@evil.example",
    "evil.example#127.0.0.1",
    "127.0.0.1/evil",
    "",
    " ",
    "10.0.0.1",
    "192.168.1.2:7777",
    "[::2]",
    "[::1",
    "0.0.0.0",
    "127.0.0.1, evil.example",
    "xn--localhost-",
    "localhost\\evil",
    "http://127.0.0.1",
    "2130706433",
    "evil.localhost",
)
ORIGINS = (
    "http://evil.example",
    "https://evil.example",
    "null",
    "http://127.0.0.1.evil.example",
    "http://127.0.0.1:1",
    "http://localhost",
    "https://localhost:7777",
    "file://",
    "chrome-extension://abc",
    "http://127.0.0.1@evil.example",
    "http://evil.example/http://127.0.0.1",
    "127.0.0.1",
    "//127.0.0.1",
    "http://[::1]",
    "http://0.0.0.0",
    "about:blank",
    "http://10.0.0.1",
    "ws://127.0.0.1",
    "http://",
    "data:text/html,x",
)


def every_route(door: Door) -> list[tuple[str, str]]:
    paths = [(route.method, route.path) for route in all_routes(Events(door.studio, dict))]
    return [(method, path.replace("{id}", "t0")) for method, path in paths if path != "/api/login"]


def test_every_route_needs_the_token(door: Door) -> None:
    routes = every_route(door)
    assert len(routes) > 30
    client = TestClient(door.client.app, base_url="http://127.0.0.1")
    for headers in (
        {},
        {"authorization": "Bearer wrong"},
        {"cookie": f"{cookie_name(TOKEN)}=wrong"},
        {"authorization": TOKEN},
    ):
        for method, path in routes:
            answer = client.request(method, path, headers=headers)
            assert answer.status_code == 401, (method, path)
            assert answer.json()["error"]["kind"] == "unauthorized"


@pytest.mark.parametrize("host", HOSTS)
def test_other_names_are_refused(door: Door, host: str) -> None:
    assert door.client.get("/api/sizes", headers={"host": host}).status_code == 403
    assert door.client.get("/", headers={"host": host}).status_code == 403


@pytest.mark.parametrize("origin", ORIGINS)
def test_other_sites_are_refused(door: Door, origin: str) -> None:
    assert door.client.post("/api/clean", headers={"origin": origin}, json={}).status_code == 403


def test_the_own_page_is_let_in(door: Door) -> None:
    assert door.client.get("/api/sizes", headers={"origin": "http://127.0.0.1"}).status_code == 200
    assert door.client.get("/api/sizes", headers={"host": "localhost:9000"}).status_code == 200
    assert door.client.get("/api/sizes", headers={"sec-fetch-site": "cross-site"}).status_code == 403


def test_the_address_gives_a_cookie_that_scripts_and_other_sites_do_not_get(door: Door) -> None:
    browser = TestClient(door.client.app, base_url="http://127.0.0.1", follow_redirects=False)
    answer = browser.get(f"/?token={TOKEN}")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert browser.get("/api/sizes").status_code == 200
    browser.post("/api/logout")
    assert browser.get("/api/sizes").status_code == 401
    assert browser.get("/?token=wrong").status_code == 200
    assert browser.get("/api/sizes").status_code == 401
    assert browser.post("/api/login", json={"token": "wrong"}).status_code == 401
    assert browser.post("/api/login", json={"token": TOKEN}).status_code == 204
    assert browser.get("/api/sizes").status_code == 200


def test_the_cookie_is_found_among_those_of_other_programs(door: Door) -> None:
    """Cookies know no ports: a browser sends those of every server on this computer."""
    client = TestClient(door.client.app, base_url="http://127.0.0.1")
    mine, other = (f"{cookie_name(token)}={token}" for token in (TOKEN, "another-studio"))
    for beside in ('state={"x":1}', "user[0]=1", "a=b c", "bare", "=", other):
        for text in (f"{beside}; {mine}", f"{mine}; {beside}"):
            assert client.get("/api/sizes", headers={"cookie": text}).status_code == 200, text
    assert client.get("/api/sizes", headers={"cookie": other}).status_code == 401


def test_every_answer_keeps_the_page_to_itself(door: Door) -> None:
    for path in ("/", "/api", "/api/nothing", "/nothing"):
        headers = door.client.get(path).headers
        assert headers["content-security-policy"] == POLICY
        assert headers["x-content-type-options"] == "nosniff"
    assert POLICY.startswith("default-src 'self'")


def test_an_open_door_needs_the_token() -> None:
    with pytest.raises(SettingsError, match="token"):
        serve(Serving(host="0.0.0.0", token=False), print)


def test_below_a_proxys_path(door: Door) -> None:
    app = make_app(door.studio, page=False, root_path="/studio")
    client = TestClient(app, base_url="http://127.0.0.1", follow_redirects=False)
    bearer = {"authorization": f"Bearer {TOKEN}"}
    for path in ("/studio/api/sizes", "/api/sizes"):  # proxies that pass the path on, and that strip it
        assert client.get(path, headers=bearer).status_code == 200
        assert client.get(path).status_code == 401
    answer = client.get(f"/studio/?token={TOKEN}")
    assert answer.headers["location"] == "/studio/"
    assert "path=/studio" in answer.headers["set-cookie"].lower()


def test_the_description_names_every_route(door: Door) -> None:
    paths = door.client.get("/api").json()["paths"]
    assert {route.path for route in all_routes(Events(door.studio, dict))} == set(paths)
