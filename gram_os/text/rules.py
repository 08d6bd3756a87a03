"""The version of the text rules: what normaliser and own values make of a fixed list of probe texts.

Documents that were coded under other rules do not meet today's queries. So a bundle's id contains this version, and a
change of the rules has documents coded anew. The version is computed from behaviour, not from sources: a changed
stemmer changes it (another release of PyStemmer too), a comment or another version of Python does not.
"""

from __future__ import annotations

import hashlib
import json
from typing import Final

from gram_os.catalogue import Product
from gram_os.text.attribute import AttributeType
from gram_os.text.dictionary import AttributeDictionary
from gram_os.text.normalise import Normaliser
from gram_os.text.own_values import product_values

#: Raise it when a change of the code, in model/ too, alters what documents get and the probes do not show it.
NUMBER: Final = 1

_STEMS: Final = {
    "kuhlschrank": "kühlschrank",
    "cartridg": "cartridge",
    "batteri": "battery",
    "colour": "color",
    "shelv": "shelf",
}
_PHRASES: Final = ("17 in", "24 port", "stainless steel", "steel desk lamp", "toner cartridge")

# Probes of running text, one a line: units, numbers, fractions, ranges, dimensions, plurals, hyphens, model numbers,
# acronyms, signs, accents, other scripts, marks, unseen signs, markup, decimal commas, stop words, phrases.
_TEXTS: Final = """\
17-inch Laptops, 17" laptop, 17 in. and 17 (inches)
5'10" x 3ft 2 feet, 12 yds. 30 mm 2,5 cm 1.50 metres 6 m
20 sq ft, 20 square feet 1.5 cu. ft 12 cubic foot
5lbs 5 pounds 8oz 8 ounces 12 fl oz 2.0 kg 250 grams 1 gal 2 qts .5 liter 750ml
18V 18-volt 60 watts 5W w/ 5W 2kW 20 amps 5200mAh 90 Wh 600VA 45 dB 50 Hz 44 kHz 2400MHz 3.2 GHz
64kb 512 MB 16GB 2 TB 10 Gbps 100 Mb/s 1 Gbit/s 12 MP 1200x1200 dpi 7200rpm 30 ppm 60fps 800 lumens
3000 psi 2.5 GPM 100 cfm 12000 BTUs 5 HP 18 gauge 10 pk 12 packs 6 pc(s) 4 pieces 90 deg 45° 100% 50 percent
15,6 Zoll 500 Gramm 2 kilogramm 2 Stück 5 Stk.
1,000 sheets 1,234,567.50 007 0.50 .50 3.10 10,100,1000 1234567890123456789012
1-1/2 in 1 1/2 inch 1½″ 3/4 ½ 5⅝ 24/7 110/220V 110/220 64/65 3/0
10-20 mm 1.5-3 ft 100-240V 2-4 18-24 months
4x8 4 ft x 8 ft 2×4 04X4641 X463 X464 3 * 4 * 5 cm 8.5x11
all-in-one 3-in-1 2 in 1 10in1
TVs PCs CDs boss bus glass 80's men's women’s cartridge(s) box(es)
Wi-Fi e-mail T-shirt heavy-duty re-chargeable state-of-the-art on-off
006R90321 dv7-1211ea CF-31 XL2410T 24-port 4-wheel 5.1-channel A/C AC/DC USB-C C++ .NET 802.11ac
90 °C 90°F -20 °C to 50 degrees Celsius (-5 deg) Drill -18V freezer -20 -7.5 °
0,5 l 0,25 1,5 m 2,5 x 3,5 cm 10,5-12,5 mm 1.299,00 1,500 kg 1.500 kg 1,125 m 10,5 1,2,3 10,100,1000
EH-TW5600 tw5600 WH-1000XM4 XL2410T 1080p cat5e cat6 M8x40 M8 x 1.25 x 40mm M8x1.25x40mm A4 e27 106R01393
12/2 wire 250 12/2 ft 1/4-20 x 1 12-2/14-2 50/50 10/100/1000 2-3 person 48-11-1850 8-32 C# C++ A++ F#5 b+
AT&T U.S.A. L.O.L. R&D Black&Decker H.264 v2.0 a.b
Xerox® Toner™ © Café crème naïve Größe STRASSE ﬁlter ＬＥＤ №5 m² 10 µm ½-inch
שלום עולם ноутбук ノート 笔记本 😀 laptop
ガラス ｶﾞﾗｽ カ゛ パン バン ハン किताब बच्चों কাপড় பெட்டி ગુજરાતી แก้วน้ำ เสื้อ ນ້ຳ ဖိနပ် የሴቶች
قميص أسود شَاحِن قمـيص שָׁלוֹם йод ёлка їжа за́мок Άνθρωπος łódź Øre đen Æble œuvre Işıklı Ｗｉ‑Ｆｉ 10–20 mm −5 °C
wire\u00adless wire\u200bless \ufeffred\u200elamp red\u200dlamp แก้ว\u200bน้ำ 1\ufe0f\u20e3 ◌̈ ⁄ 5⁄8
<p style="color:#333">Desk <b>lamp</b>s</p><ul><li>R&amp;D&nbsp;5 &lt;b&gt;x&lt;/b&gt; a < b <3 5 <10 in
<script>var x</script> &amp;nbsp; &#8211; <Brand X> <!-- no --> <![CDATA[so]]> x <p class="cu
a an and at by for from in into is it its of on or the to w with without your
17 inch toner cartridges, 24-port stainless steel desk lamps
black | toner || xerox _under_score (paren) [bracket] "quoted" 'single' semi;colon slash/slash
"""

# Probes of whole attribute values, one a line.
_VALUES: Final = """\
Toner Cartridges
17 (inches)
3 ft. x 10 in
Black & Decker
AA batteries of 1,000 mAh
Wi-Fi (802.11 ac)
the
Stainless-Steel Shelves
colours: red, green
Kühlschränke
1,500 kg
1 1/8 in
1.500 l
12/2
"""

# Probes of numbers in a catalogue of decimal commas, one a line.
_NUMBERS: Final = """\
1,500 kg 1.500 kg 1,125 m 1.125 m 10,5 1,2,3 10,100,1000 1.234.567 1.299,00 1,234.50 0.125 2.50 m 1 1/8 in
"""

# Words that pass the steps of Porter 2 and meet its exceptions.
_WORDS: Final = """
caresses glasses ties cries dies gas gaps kiwis boxes batteries shelves knives addresses news
agreed agreedly feed hopping hoped hoping hopefully falling hissing filed tanned luxuriated luxuriating sized planned
happy sky say buy flies dying lying tying skis skies idly gently ugly early only singly andes atlas bias cosmos howe
inning outing canning herring earring proceed exceed succeed generate generator communication arsenal
relational conditional rational valency hesitancy digitizer conformably radically differently vilely analogously
vietnamization predication operator feudalism decisiveness hopefulness callousness formality sensitivity sensibility
geology carefully endlessly quickly triplicate formative formalize electricity electrical goodness
revival allowance inference airliner gyroscopic adjustable defensible irritant replacement adjustment dependent adoption
homologous communism activate angularity effective bowdlerize probate rate cease controll roll
printer printers printing printed cartridges toner toners laptop laptops notebooks wireless rechargeable waterproof
stainless adhesive lighting lights bulbs adapter adaptor charger charging speakers headphones organizer organiser
international universal university organization organized evening past pasted later paste archaeologist biologist
colours fiber fibre grey aluminium mattresses dresses shoes hose horses houses
"""

_ATTRIBUTES: Final = {
    "type": AttributeType.PRODUCT_TYPE,
    "specs.colour": AttributeType.COLOUR,
    "specs.size": AttributeType.OTHER,
    **{kind.value: kind for kind in AttributeType},
}
_PRODUCTS: Final = (
    Product(
        "1", "HP LaserJet toner cartridges, 17-inch", {kind.value: f"{kind.value} lasers" for kind in AttributeType}
    ),
    Product(
        "2",
        "Stainless steel desk lamps 24-port",
        {
            "type": ["Lamps", ["Desk lamps", "24 ports"], 3, None],
            "colour": "Black,Grey / Blue",
            "sales_specification": "1,000 sheets,10,100,1000 / 2,000-sheet",
            "material": "Stainless steel, Aluminium",
            "model": "",
            "style": "the",
            "text": "LED lamp, 3 (pack)." + " " * 1970 + "cut before warranty",
            "ignored": "no attribute",
        },
    ),
    Product(
        "3",
        "Bottle <b>steel</b> &amp; cup",
        {
            "specs": [{"colour": "Red、Blue"}, {"colour": ["Green، Grey", "<i>Teal</i>"]}],
            "specs.colour": "White",
            "specs.size": "0,5 l, 1,5 l,2,10,100",
            "i18n": {"text": ["Fits <li>many", "cups"]},
        },
    ),
)


def text_rules_version() -> str:
    """Return the number of the rules and a fingerprint of what they do, such as `1-0123456789abcdef`.

    It is computed at each call (a few milliseconds), so that it is the version of the rules that are in use.
    """
    content = json.dumps(_run_probes()).encode()
    return f"{NUMBER}-{hashlib.sha256(content).hexdigest()[:16]}"


def _run_probes() -> list[object]:
    """Return what today's rules make of all probes."""
    plain, normaliser, commas = Normaliser(), Normaliser(_STEMS), Normaliser(_STEMS, decimal_comma=True)
    types = (AttributeType.OTHER,) * len(_PHRASES)
    dictionary = AttributeDictionary(_PHRASES, types, (1,) * len(_PHRASES))
    tokens = [normaliser.tokens(text) for text in _TEXTS.splitlines()]
    return [
        [[[token.value, *token.parts] for token in line] for line in tokens],
        [dictionary.phrases([token.value for token in line]) for line in tokens],
        [normaliser.value(text) for text in _VALUES.splitlines()],
        [commas.values(text) for text in (_VALUES + _NUMBERS).splitlines()],
        [plain.stem(word) for word in _WORDS.split()],
        [product_values(product, _ATTRIBUTES, normaliser, dictionary, ("text", "i18n.text")) for product in _PRODUCTS],
    ]
