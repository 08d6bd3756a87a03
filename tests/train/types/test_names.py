"""Category names of public taxonomies, with the names that people use for the same things, typed by hand."""

from __future__ import annotations

import pytest

from gram_os.train.types.names import NameWords, split_names

EXPECTED = {
    # One thing.
    "USB Flash Drives": ["usb flash drives"],
    "Televisions": ["televisions"],
    "Sashes with Buckle": ["sashes with buckle"],
    # Plurals stand alone.
    "Headphones & Headsets": ["headphones", "headsets"],
    "Printers, Copiers & Fax Machines": ["printers", "copiers", "fax machines"],
    "Dolls, Playsets & Toy Figures": ["dolls", "playsets", "toy figures"],
    "Lawn Ornaments & Garden Sculptures": ["lawn ornaments", "garden sculptures"],
    # So do words that nothing follows.
    "Meat, Seafood & Eggs": ["meat", "seafood", "eggs"],
    "Boxing & Martial Arts": ["boxing", "martial arts"],
    # A singular shares the end of the next plural.
    "Mobile & Smart Phones": ["mobile phones", "smart phones"],
    "Food & Water Dishes": ["food dishes", "water dishes"],
    "Sports & Energy Drinks": ["sports drinks", "energy drinks"],
    "Sump, Sewage & Effluent Pumps": ["sump pumps", "sewage pumps", "effluent pumps"],
    "Printer, Copier & Fax Machine Accessories": [
        "printer accessories",
        "copier accessories",
        "fax machine accessories",
    ],
    "Printer, Copier, & Fax Machine Circuit Boards": [
        "printer circuit boards",
        "copier circuit boards",
        "fax machine circuit boards",
    ],
    "Smoke & Carbon Monoxide Detectors": ["smoke detectors", "carbon monoxide detectors"],
    "Ski & Snowboard Storage Racks": ["ski storage racks", "snowboard storage racks"],
    "High Chair & Booster Seat Accessories": ["high chair accessories", "booster seat accessories"],
    "Low Alcohol & Alcohol-Free Beer": ["low alcohol beer", "alcohol-free beer"],
    # And what stands before all of them.
    "Motorcycle Elbow & Wrist Guards": ["motorcycle elbow guards", "motorcycle wrist guards"],
    "Bird Cage Food & Water Dishes": ["bird cage food dishes", "bird cage water dishes"],
    "Field Hockey & Lacrosse Gloves": ["field hockey gloves", "lacrosse gloves"],
    "Field Hockey & Lacrosse": ["field hockey", "lacrosse"],
    "Pet Carriers & Crates": ["pet carriers", "pet crates"],
    "Pet Carrier & Crate Accessories": ["pet carrier accessories", "pet crate accessories"],
    "Bed & Bed Frame Accessories": ["bed accessories", "bed frame accessories"],
    # A single word shares what the one before it begins with.
    "Speaker Bags, Covers & Cases": ["speaker bags", "speaker covers", "speaker cases"],
    "Pet Shampoo & Conditioner": ["pet shampoo", "pet conditioner"],
    "Baby & Toddler Gloves & Mittens": ["baby gloves", "toddler gloves", "baby mittens", "toddler mittens"],
    "Distress Beacons and EPIRBs": ["distress beacons", "distress epirbs", "epirbs"],  # no other name ends so
    "Bath Sponges & Loofahs": ["bath sponges", "bath loofahs", "loofahs"],
    "Camera Parts & Accessories": ["camera parts", "camera accessories"],
    # Accessories are somebody's.
    "Costumes & Accessories": ["costumes", "costume accessories"],
    "Seeds, Bulbs & Accessories": ["seeds", "bulbs", "seed accessories", "bulb accessories"],
    # Slashes, brackets, pairs.
    "CD/DVD Cases & Organizers": ["cd cases", "dvd cases", "cd organizers", "dvd organizers"],
    "I/O Cards & Adapters": ["i/o cards", "i/o adapters"],
    "Digital Single-Lens Reflex (DSLR) Cameras": ["digital single-lens reflex cameras", "dslr cameras"],
    "Electric Vehicles (EV)": ["electric vehicles", "ev"],
    "Black & White Film": ["black and white film"],
    "Iron-On Hook & Loop Fasteners": ["iron-on hook and loop fasteners"],
}
# What decides in the names above how the words are used.
OTHERS = [
    *("Fax Machines", "Fax Machine Parts", "High Chairs", "Booster Seats", "Sports Shoes", "Sports Bags"),
    *("Martial Arts Shoes", "Martial Arts Belts", "Martial Arts Weapons", "Carbon Monoxide Alarms"),
    *(
        "Field Hockey Sticks",
        "Field Hockey Balls",
        "Field Hockey Goals",
        "Carbon Monoxide Meters",
        "Bird Cages",
        "Wine Crates",
    ),
    *("Cases", "Gloves", "Organizers", "Eggs", "Mittens", "Camera Cases", "Pet Covers", "Dvd Adapters"),
]
WORDS = NameWords([*EXPECTED, *OTHERS])


@pytest.mark.parametrize("name", EXPECTED)
def test_names_of_categories(name: str) -> None:
    assert split_names(name, WORDS) == EXPECTED[name]


def test_the_nouns_of_a_thesaurus_tell_compounds() -> None:
    names = ["Kitchen & Dining Room Tables", "Dining Benches", "Room Dividers"]
    assert split_names(names[0], NameWords(names)) == ["kitchen room tables", "dining room tables"]
    words = NameWords(names, nouns=["kitchen", "dining room"])
    assert split_names(names[0], words) == ["kitchen tables", "dining room tables"]


def test_spelling_alone_decides_without_a_taxonomy() -> None:
    assert split_names("Computer & Laptop Bags") == ["computer bags", "laptop bags"]
    assert split_names("Printer & Fax Machine Accessories") == ["printer accessories", "fax machine accessories"]
    assert split_names("Backpacks (Hiking)") == ["backpacks"]
    assert split_names("Food/Water Dishes") == ["food dishes", "water dishes"]
    assert split_names("Cars & Trucks & Vans") == ["cars", "trucks", "vans"]
    assert split_names("Bicycle Bags & Panniers") == ["bicycle bags", "bicycle panniers"]
    assert split_names("Glass & Brass Lamps") == ["glass lamps", "brass lamps"]


@pytest.mark.parametrize("name", ["", " ", "&", ", &", "()", "(EV)", "A & ", "& B"])
def test_odd_names_give_what_words_they_have(name: str) -> None:
    assert split_names(name) == [word.lower() for word in name.split() if word in ("A", "B")]


def test_the_names_of_a_taxonomy_tell_plurals_from_modifiers() -> None:
    words = NameWords(["Sports Bags", "Sports Shoes", "Camera Lenses", "Lens Caps", "Lens Cleaners", "Shelves"])
    assert [words.is_plural(word) for word in ("sports", "bags", "lens", "lenses", "children")] == [
        False, True, False, True, True,
    ]  # fmt: skip
    # Of "lense" and "lens", the taxonomy has the second.
    assert [words.make_singular(word) for word in ("lenses", "shoes", "children", "lens")] == [
        "lens", "shoe", "child", "lens",
    ]  # fmt: skip
    assert words.is_noun(("camera", "lens"))
    assert not words.is_noun(("lens", "camera"))


def test_the_order_of_the_names_does_not_matter() -> None:
    names = ["Printer & Fax Machine Covers", "Fax Machines"]
    for order in (names, names[::-1]):
        words = NameWords(order)
        assert words.is_noun(("printer", "cover"))
        assert not words.is_noun(("printer", "machine", "cover"))
