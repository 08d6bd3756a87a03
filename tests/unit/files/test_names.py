"""Names of fields: which stay, and what the others become."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gram_os.files.names import FieldNames, safe_name, safe_value


@pytest.mark.parametrize(
    ("names", "changed"),
    [
        (["brand", "brand.name"], {"brand.name": "brand_name"}),
        (["brand.name", "brand"], {"brand.name": "brand_name"}),
        (["brand.name", "brand.id"], {}),
        (["brand", "brand.name", "brand_name"], {"brand.name": "brand_name_2"}),
        (["a.b", "a.b.c", "a.d"], {"a.b.c": "a_b_c"}),
        (["title.de"], {"title.de": "title_de"}),
        (["_id", "id", "_type", "_score"], {"_id": "id_2", "_type": "type", "_score": "score"}),
        (["__v", "_"], {"__v": "v", "_": "unnamed"}),
        (["Art. No.", "Art_No"], {"Art. No.": "Art_No_2"}),
        ([" lead", "trail ", "a..b", ".c", "b.", "..."], {
            " lead": "lead", "trail ": "trail", "a..b": "a_b", ".c": "c", "b.": "b", "...": "unnamed",
        }),
        ([".".join("abcdefghijkl")], {".".join("abcdefghijkl"): "a_b_c_d_e_f_g_h_i_j_k_l"}),
        (["größe (cm)", "Meta: _wc.note", "a/b", "色"], {}),
    ],
)  # fmt: skip
def test_names_that_cannot_stay(names: list[str], changed: dict[str, str]) -> None:
    assert FieldNames(names, taken=("title",)).changed == changed


_NAMES = st.text(st.sampled_from("ab._ "), max_size=6)


@given(st.lists(_NAMES, unique=True))
def test_every_field_has_a_name_of_its_own(names: list[str]) -> None:
    found = FieldNames(names, taken=("title",))
    safe = [found.find(name) for name in names]
    assert len({*safe, "title"}) == len(names) + 1
    assert all(name and not name.startswith("_") and all(part.strip() for part in name.split(".")) for name in safe)
    # No field is a path into another one.
    assert not any(other.startswith(f"{name}.") for name in safe for other in safe)


@given(st.lists(_NAMES))
def test_names_found_one_by_one_do_not_collide_either(names: list[str]) -> None:
    found = FieldNames(taken=("title",))
    safe = {name: found.find(name) for name in names}
    assert len(set(safe.values())) == len(safe)
    assert not any(other.startswith(f"{name}.") for name in safe.values() for other in safe.values())
    assert {name: found.find(name) for name in names} == safe


@given(_NAMES)
def test_a_safe_name_stays(name: str) -> None:
    assert safe_name(safe_name(name)) == safe_name(name)


def test_names_inside_objects() -> None:
    changed: dict[str, str] = {}
    value = {"a..b": 1, "a_b": 2, "_source": {"": [{" ": 3, "en": "x"}]}, "en-GB": 4}
    assert safe_value(value, changed) == {
        "a_b_2": 1,
        "a_b": 2,
        "_source": {"unnamed": [{"unnamed": 3, "en": "x"}]},
        "en-GB": 4,
    }
    assert changed == {"a..b": "a_b_2", "": "unnamed", " ": "unnamed"}
