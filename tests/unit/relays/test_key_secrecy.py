"""A key is used and never seen: not in reprs, pickles, logs, exceptions, tracebacks, records."""

from __future__ import annotations

import copy
import logging
import pickle
import traceback
from pathlib import Path

import pytest

from infra.relays.bundle import build_bundle
from infra.relays.signing import BadKey, Signer
from schemas.config import ConfigError, SecretRef
from tests.unit.relays.samples import decision, secret, signer

KEY = "0x" + "5ec4e7" * 10 + "5ec4"


def reveals(text: str) -> bool:
    return "5ec4e75ec4e7" in text.lower() or str(int(KEY, 16)) in text or repr(bytes.fromhex(KEY[2:]))[2:20] in text


def test_the_detector_detects() -> None:
    assert (
        reveals(KEY) and reveals(KEY.upper()) and reveals(repr(bytes.fromhex(KEY[2:]))) and reveals(str(int(KEY, 16)))
    )


def test_no_text_form_shows_the_key(caplog: pytest.LogCaptureFixture) -> None:
    owner = signer(KEY)
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("x").error("%s %r %s", owner, owner, {"signer": owner})
    shown = f"{owner}{owner!r}{[owner]}{owner.__class__.__slots__}{dir(owner)}{caplog.text}"
    assert not reveals(shown)
    assert repr(owner) == f"Signer({owner.checksum_address})"
    with pytest.raises(TypeError):
        vars(owner)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_it_cannot_be_pickled(protocol: int) -> None:
    with pytest.raises(TypeError, match="not copied or pickled"):
        pickle.dumps(signer(KEY), protocol)


def test_it_cannot_be_copied() -> None:
    for duplicate in (copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="not copied or pickled"):
            duplicate(signer(KEY))


@pytest.mark.parametrize(
    "bad", [KEY[:-2], KEY + "00", KEY[:-1] + "g", "0x" + "00" * 32, "0x" + "ff" * 32, "", KEY[2:].replace("5", "§")]
)
def test_a_bad_key_is_named_by_its_reference_only(tmp_path: Path, bad: str) -> None:
    ref = secret(tmp_path, bad)
    with pytest.raises(BadKey) as caught:
        Signer(ref)
    assert ref.ref in str(caught.value)
    assert not reveals(str(caught.value)) and not reveals(repr(caught.value.args))
    assert caught.value.__cause__ is None and caught.value.__context__ is None
    # A traceback may print the local variables of every frame, as the command line's does: none of ours holds the text.
    for frame, _ in traceback.walk_tb(caught.value.__traceback__):
        if "infra" in frame.f_code.co_filename:
            assert not any(bad and bad in repr(value) for value in frame.f_locals.values())


def test_a_key_without_0x_and_with_a_newline_is_fine(tmp_path: Path) -> None:
    assert Signer(secret(tmp_path, KEY[2:] + "\n")).address == signer(KEY).address


def test_a_missing_secret_says_where_it_was_looked_for() -> None:
    with pytest.raises(ConfigError, match="SLUICE_NO_SUCH_KEY"):
        Signer(SecretRef(ref="env:SLUICE_NO_SUCH_KEY"))


def test_signed_bytes_are_in_no_repr() -> None:
    bundle = build_bundle(decision(), signer())
    assert bundle.ours.raw.hex()[:60] not in repr(bundle) and repr(bundle.ours.raw)[2:30] not in repr(bundle)
    assert repr(bundle.targets[0].raw)[2:30] not in repr(bundle)
