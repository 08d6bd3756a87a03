"""`gram-os serve` before it serves: what is missing, and which addresses count as this machine's own."""

from __future__ import annotations

import sys

import pytest

from gram_os.errors import SettingsError
from gram_os.server.app import check_address
from gram_os.settings import load_settings
from tests.command import run


@pytest.mark.parametrize("library", ["fastapi", "uvicorn"])
def test_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, library: str) -> None:
    for module in [name for name in sys.modules if name.startswith("gram_os.server")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, library, None)
    done = run("serve", "--url", "http://127.0.0.1:9")
    assert (done.code, done.out) == (2, "")
    assert "pip install 'gram-os[serve]'" in done.err


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_this_machine_needs_no_secret(host: str) -> None:
    check_address(load_settings(environ={"GRAM_OS_SERVER_HOST": host}))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "search.example.com", "localhost.example.com"])
def test_other_addresses_need_a_secret(host: str) -> None:
    environ = {"GRAM_OS_SERVER_HOST": host}
    with pytest.raises(SettingsError, match="set GRAM_OS_HOOK_SECRET, or serve on"):
        check_address(load_settings(environ=environ))
    check_address(load_settings(environ={**environ, "GRAM_OS_HOOK_SECRET": "0123456789abcdef"}))
