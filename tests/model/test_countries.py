"""Countries by whatever name a vendor has for them."""

import pytest

from exporter.model.countries import code_of


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("United States", "US"),
        ("United States of America", "US"),
        ("USA", "US"),
        ("U.S.", "US"),
        ("Russia", "RU"),
        ("Russian Federation", "RU"),
        ("South Korea", "KR"),
        ("Korea, Republic of", "KR"),
        ("North Korea", "KP"),
        ("Czechia", "CZ"),
        ("Czech Republic", "CZ"),
        ("Türkiye", "TR"),
        ("Turkey", "TR"),
        ("Vietnam", "VN"),
        ("Viet Nam", "VN"),
        ("Hong Kong", "HK"),
        ("Macao", "MO"),
        ("Taiwan", "TW"),
        ("Côte d'Ivoire", "CI"),
        ("Cote d\N{RIGHT SINGLE QUOTATION MARK}Ivoire", "CI"),
        ("Ivory Coast", "CI"),
        ("DR Congo", "CD"),
        ("Congo Republic", "CG"),
        ("Bosnia & Herzegovina", "BA"),
        ("bosnia and herzegovina", "BA"),
        ("St Kitts and Nevis", "KN"),
        ("Saint Kitts & Nevis", "KN"),
        ("São Tomé and Príncipe", "ST"),
        ("The Netherlands", "NL"),
        ("Bonaire, Sint Eustatius, and Saba", "BQ"),
        ("British Virgin Islands", "VG"),
        ("U.S. Virgin Islands", "VI"),
        ("Palestine", "PS"),
        ("Kosovo", "XK"),
        ("Eswatini", "SZ"),
        ("Åland", "AX"),
        ("Georgia", "GE"),
        ("Guinea-Bissau", "GW"),
        ("Guinea", "GN"),
    ],
)
def test_a_country_is_known_by_each_of_its_usual_names(name, code):
    assert code_of(name) == code


@pytest.mark.parametrize("name", ["Atlantis", "unknown", "", "the", "Europe", "…", "United"])
def test_what_is_no_country_has_no_code(name):
    assert code_of(name) is None
