"""Names of countries, and their ISO 3166-1 alpha-2 codes.

The names are English: those of Unicode CLDR and of ISO 3166-1 (Debian's iso-codes), and usual ones
besides, as geographical databases have them. XK, for Kosovo, is not assigned by ISO, but in general
use. A table costs less to load than a library, of which nothing else would be used.

A name added here renames what ledgers hold under it: that needs a step in the ledger's MIGRATIONS,
like the one that calls country().
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

_NAMES = """\
AD Andorra; Principality of Andorra
AE United Arab Emirates
AF Afghanistan; Islamic Republic of Afghanistan
AG Antigua & Barbuda
AI Anguilla
AL Albania; Republic of Albania
AM Armenia; Republic of Armenia
AO Angola; Republic of Angola
AQ Antarctica
AR Argentina; Argentine Republic
AS American Samoa
AT Austria; Republic of Austria
AU Australia
AW Aruba
AX Åland Islands; Åland
AZ Azerbaijan; Republic of Azerbaijan
BA Bosnia & Herzegovina; Republic of Bosnia and Herzegovina
BB Barbados
BD Bangladesh; People's Republic of Bangladesh
BE Belgium; Kingdom of Belgium
BF Burkina Faso
BG Bulgaria; Republic of Bulgaria
BH Bahrain; Kingdom of Bahrain
BI Burundi; Republic of Burundi
BJ Benin; Republic of Benin
BL St. Barthélemy
BM Bermuda
BN Brunei; Brunei Darussalam
BO Bolivia; Bolivia, Plurinational State of; Plurinational State of Bolivia
BQ Caribbean Netherlands; Bonaire, Sint Eustatius and Saba; Bonaire; Bonaire, Saint Eustatius and
   Saba
BR Brazil; Federative Republic of Brazil
BS Bahamas; Commonwealth of the Bahamas
BT Bhutan; Kingdom of Bhutan
BV Bouvet Island
BW Botswana; Republic of Botswana
BY Belarus; Republic of Belarus
BZ Belize
CA Canada
CC Cocos (Keeling) Islands; Cocos Islands
CD Congo - Kinshasa; Congo, The Democratic Republic of the; DR Congo; Democratic Republic of the
   Congo; Zaire
CF Central African Republic
CG Congo - Brazzaville; Congo; Republic of the Congo; Congo Republic
CH Switzerland; Swiss Confederation
CI Côte d'Ivoire; Republic of Côte d'Ivoire; Ivory Coast
CK Cook Islands
CL Chile; Republic of Chile
CM Cameroon; Republic of Cameroon
CN China; People's Republic of China; Mainland China
CO Colombia; Republic of Colombia
CR Costa Rica; Republic of Costa Rica
CU Cuba; Republic of Cuba
CV Cape Verde; Cabo Verde; Republic of Cabo Verde
CW Curaçao
CX Christmas Island
CY Cyprus; Republic of Cyprus
CZ Czechia; Czech Republic
DE Germany; Federal Republic of Germany
DJ Djibouti; Republic of Djibouti
DK Denmark; Kingdom of Denmark
DM Dominica; Commonwealth of Dominica
DO Dominican Republic
DZ Algeria; People's Democratic Republic of Algeria
EC Ecuador; Republic of Ecuador
EE Estonia; Republic of Estonia
EG Egypt; Arab Republic of Egypt
EH Western Sahara
ER Eritrea; the State of Eritrea
ES Spain; Kingdom of Spain
ET Ethiopia; Federal Democratic Republic of Ethiopia
FI Finland; Republic of Finland
FJ Fiji; Republic of Fiji
FK Falkland Islands; Falkland Islands (Malvinas); Falkland Islands (Islas Malvinas)
FM Micronesia; Micronesia, Federated States of; Federated States of Micronesia
FO Faroe Islands
FR France; French Republic
GA Gabon; Gabonese Republic
GB United Kingdom; United Kingdom of Great Britain and Northern Ireland; Great Britain; UK;
   Britain
GD Grenada
GE Georgia
GF French Guiana
GG Guernsey
GH Ghana; Republic of Ghana
GI Gibraltar
GL Greenland
GM Gambia; Republic of the Gambia
GN Guinea; Republic of Guinea
GP Guadeloupe
GQ Equatorial Guinea; Republic of Equatorial Guinea
GR Greece; Hellenic Republic
GS South Georgia & South Sandwich Islands; South Georgia
GT Guatemala; Republic of Guatemala
GU Guam
GW Guinea-Bissau; Republic of Guinea-Bissau
GY Guyana; Republic of Guyana
HK Hong Kong SAR China; Hong Kong SAR; Hong Kong; Hong Kong Special Administrative Region of China
HM Heard & McDonald Islands; Heard Island and McDonald Islands
HN Honduras; Republic of Honduras
HR Croatia; Republic of Croatia
HT Haiti; Republic of Haiti
HU Hungary
ID Indonesia; Republic of Indonesia
IE Ireland; Republic of Ireland
IL Israel; State of Israel
IM Isle of Man
IN India; Republic of India
IO British Indian Ocean Territory
IQ Iraq; Republic of Iraq
IR Iran; Iran, Islamic Republic of; Islamic Republic of Iran
IS Iceland; Republic of Iceland
IT Italy; Italian Republic
JE Jersey
JM Jamaica
JO Jordan; Hashemite Kingdom of Jordan
JP Japan
KE Kenya; Republic of Kenya
KG Kyrgyzstan; Kyrgyz Republic
KH Cambodia; Kingdom of Cambodia
KI Kiribati; Republic of Kiribati
KM Comoros; Union of the Comoros
KN St. Kitts & Nevis
KP North Korea; Korea, Democratic People's Republic of; Democratic People's Republic of Korea
KR South Korea; Korea, Republic of; Republic of Korea; Korea; Korea, South
KW Kuwait; State of Kuwait
KY Cayman Islands
KZ Kazakhstan; Republic of Kazakhstan
LA Laos; Lao People's Democratic Republic
LB Lebanon; Lebanese Republic
LC St. Lucia
LI Liechtenstein; Principality of Liechtenstein
LK Sri Lanka; Democratic Socialist Republic of Sri Lanka
LR Liberia; Republic of Liberia
LS Lesotho; Kingdom of Lesotho
LT Lithuania; Republic of Lithuania
LU Luxembourg; Grand Duchy of Luxembourg
LV Latvia; Republic of Latvia
LY Libya; Libyan Arab Jamahiriya
MA Morocco; Kingdom of Morocco
MC Monaco; Principality of Monaco
MD Moldova; Moldova, Republic of; Republic of Moldova
ME Montenegro
MF St. Martin; Saint Martin (French part)
MG Madagascar; Republic of Madagascar
MH Marshall Islands; Republic of the Marshall Islands
MK North Macedonia; Republic of North Macedonia; Macedonia; FYROM; Former Yugoslav Republic of
   Macedonia
ML Mali; Republic of Mali
MM Myanmar (Burma); Myanmar; Republic of Myanmar; Burma
MN Mongolia
MO Macao SAR China; Macao SAR; Macao; Macao Special Administrative Region of China; Macau
MP Northern Mariana Islands; Commonwealth of the Northern Mariana Islands
MQ Martinique
MR Mauritania; Islamic Republic of Mauritania
MS Montserrat
MT Malta; Republic of Malta
MU Mauritius; Republic of Mauritius
MV Maldives; Republic of Maldives
MW Malawi; Republic of Malawi
MX Mexico; United Mexican States
MY Malaysia
MZ Mozambique; Republic of Mozambique
NA Namibia; Republic of Namibia
NC New Caledonia
NE Niger; Republic of the Niger
NF Norfolk Island
NG Nigeria; Federal Republic of Nigeria
NI Nicaragua; Republic of Nicaragua
NL Netherlands; Kingdom of the Netherlands; Holland
NO Norway; Kingdom of Norway
NP Nepal; Federal Democratic Republic of Nepal
NR Nauru; Republic of Nauru
NU Niue
NZ New Zealand
OM Oman; Sultanate of Oman
PA Panama; Republic of Panama
PE Peru; Republic of Peru
PF French Polynesia
PG Papua New Guinea; Independent State of Papua New Guinea
PH Philippines; Republic of the Philippines
PK Pakistan; Islamic Republic of Pakistan
PL Poland; Republic of Poland
PM St. Pierre & Miquelon
PN Pitcairn Islands; Pitcairn
PR Puerto Rico
PS Palestinian Territories; Occupied Palestinian Territory; Palestine, State of; the State of
   Palestine; Palestine; Palestinian Territory
PT Portugal; Portuguese Republic
PW Palau; Republic of Palau
PY Paraguay; Republic of Paraguay
QA Qatar; State of Qatar
RE Réunion
RO Romania
RS Serbia; Republic of Serbia
RU Russia; Russian Federation
RW Rwanda; Rwandese Republic
SA Saudi Arabia; Kingdom of Saudi Arabia
SB Solomon Islands
SC Seychelles; Republic of Seychelles
SD Sudan; Republic of the Sudan
SE Sweden; Kingdom of Sweden
SG Singapore; Republic of Singapore
SH St. Helena; Saint Helena, Ascension and Tristan da Cunha
SI Slovenia; Republic of Slovenia
SJ Svalbard & Jan Mayen
SK Slovakia; Slovak Republic
SL Sierra Leone; Republic of Sierra Leone
SM San Marino; Republic of San Marino
SN Senegal; Republic of Senegal
SO Somalia; Federal Republic of Somalia
SR Suriname; Republic of Suriname
SS South Sudan; Republic of South Sudan
ST São Tomé & Príncipe; Democratic Republic of Sao Tome and Principe
SV El Salvador; Republic of El Salvador
SX Sint Maarten; Sint Maarten (Dutch part)
SY Syria; Syrian Arab Republic
SZ Eswatini; Kingdom of Eswatini; Swaziland
TC Turks & Caicos Islands
TD Chad; Republic of Chad
TF French Southern Territories; French Southern Lands
TG Togo; Togolese Republic
TH Thailand; Kingdom of Thailand
TJ Tajikistan; Republic of Tajikistan
TK Tokelau
TL Timor-Leste; Democratic Republic of Timor-Leste; East Timor
TM Turkmenistan
TN Tunisia; Republic of Tunisia
TO Tonga; Kingdom of Tonga
TR Türkiye; Republic of Türkiye; Turkey
TT Trinidad & Tobago; Republic of Trinidad and Tobago
TV Tuvalu
TW Taiwan; Taiwan, Province of China
TZ Tanzania; Tanzania, United Republic of; United Republic of Tanzania
UA Ukraine
UG Uganda; Republic of Uganda
UM U.S. Outlying Islands; United States Minor Outlying Islands; U.S. Minor Outlying Islands
US United States; United States of America; USA; U.S.
UY Uruguay; Eastern Republic of Uruguay
UZ Uzbekistan; Republic of Uzbekistan
VA Vatican City; Holy See (Vatican City State); Holy See; Vatican
VC St. Vincent & Grenadines
VE Venezuela; Venezuela, Bolivarian Republic of; Bolivarian Republic of Venezuela
VG British Virgin Islands; Virgin Islands, British
VI U.S. Virgin Islands; Virgin Islands, U.S.; Virgin Islands of the United States; United States
   Virgin Islands
VN Vietnam; Viet Nam; Socialist Republic of Viet Nam
VU Vanuatu; Republic of Vanuatu
WF Wallis & Futuna
WS Samoa; Independent State of Samoa; Western Samoa
XK Kosovo; Republic of Kosovo
YE Yemen; Republic of Yemen
YT Mayotte
ZA South Africa; Republic of South Africa
ZM Zambia; Republic of Zambia
ZW Zimbabwe; Republic of Zimbabwe
"""
"""A code and its names, separated by semicolons; an indented line continues the one before."""

_WORDS = re.compile(r"\w+")


@lru_cache(maxsize=1024)
def code_of(name: str) -> str | None:
    """The code of the country with that name, None when no country is known by it.

    Capitals, accents, punctuation, a "the", "&" for "and" and "St." for "Saint" make no difference.
    """
    return _CODES.get(_key(name))


def _key(name: str) -> str:
    """What all spellings of a name have in common."""
    plain = "".join(
        letter
        for letter in unicodedata.normalize("NFKD", name.casefold())
        if not unicodedata.combining(letter)
    )
    for mark, instead in (
        ("&", " and "),
        (".", ""),
        ("'", ""),
        ("\N{RIGHT SINGLE QUOTATION MARK}", ""),
    ):
        plain = plain.replace(mark, instead)
    words = (word for word in _WORDS.findall(plain) if word != "the")
    return " ".join("st" if word == "saint" else word for word in words)


def _codes() -> dict[str, str]:
    found: dict[str, str] = {}
    for line in _NAMES.replace("\n   ", " ").splitlines():
        code, _, names = line.partition(" ")
        found.update((_key(name), code) for name in names.split(";"))
    return found


_CODES = _codes()
