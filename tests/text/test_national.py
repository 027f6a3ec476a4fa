"""National numbers: every check digit against python-stdnum, and what it does not know against published specimens.

Where the oracle is known to differ, `DIFFERS` says why, and which numbers that concerns; about all others both agree.
"""

import random
import re
from datetime import date, timedelta
from importlib import import_module

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardai.text.validators import VALIDATORS
from guardai.text.validators.national import VALIDATORS as NATIONAL
from guardai.text.validators.national import checks

_TOKEN = re.compile(r"\[([^\]]+)\](?:\{([0-9]+)\})?|<([a-z]+)>|(.)")


def _members(inside):
    found = ""
    for low, high, one in re.findall(r"(.)-(.)|(.)", inside):
        found += one or "".join(map(chr, range(ord(low), ord(high) + 1)))
    return found


def _made(template, pick):
    """A text of a template: characters, classes with counts, and days: <ddmmyy>."""
    parts = []
    day = date(1925, 1, 1) + timedelta(days=pick.randrange(36000))
    for inside, count, written, one in _TOKEN.findall(template):
        if written:
            parts.append(
                day.strftime(written.replace("yyyy", "%Y").replace("yy", "%y").replace("mm", "%m").replace("dd", "%d"))
            )
        elif one:
            parts.append(one)
        else:
            parts += pick.choices(_members(inside), k=int(count or 1))
    return "".join(parts)


def _around(template, ends, bodies, pick):
    """Numbers that begin as the template says and have every possible end, then the same with two characters swapped."""
    for _ in range(bodies):
        body = _made(template, pick)
        for end in ends:
            yield body + end
            mixed = list(body + end)
            at = pick.randrange(len(mixed) - 1)
            if mixed[at].isalnum() and mixed[at + 1].isalnum():
                mixed[at], mixed[at + 1] = mixed[at + 1], mixed[at]
                yield "".join(mixed)


DIGITS = [str(n) for n in range(10)]
PAIRS = [f"{n:02}" for n in range(100)]
LETTERS = [chr(n) for n in range(65, 91)]

#: (validator, oracle, how the numbers begin, how they may end)
ORACLE = [
    ("ar_cuit", "ar.cuit", "[0-9]{10}", DIGITS),
    ("ar_cuit", "ar.cuit", "2[0347][0-9]{8}", DIGITS),
    ("at_steuernummer", "at.tin", "[0-9]{8}", DIGITS),
    ("at_svnr", "at.vnr", "[0-9]{4}<ddmmyy>", [""]),
    ("at_uid", "at.uid", "ATU[0-9]{7}", DIGITS),
    ("au_abn", "au.abn", "[1-9][0-9]{8}", PAIRS),
    ("au_tfn", "au.tfn", "[0-9]{8}", DIGITS),
    ("be_eid", "be.eid", "[0-9]{10}", PAIRS),
    ("be_national", "be.nn", "<yymmdd>[0-9]{3}", PAIRS),
    ("be_national", "be.bis", "[0-9]{2}[2-5][0-9][0-3][0-9][0-9]{3}", PAIRS),
    ("bg_egn", "bg.egn", "<yymmdd>[0-9]{3}", DIGITS),
    ("bg_egn", "bg.egn", "[0-9]{2}[24][0-9][0-2][0-9]{4}", DIGITS),
    ("bg_lnch", "bg.pnf", "[0-9]{9}", DIGITS),
    ("br_cnpj", "br.cnpj", "[0-9]{12}", PAIRS),
    ("br_cnpj", "br.cnpj", "[0-9A-Z]{12}", PAIRS),
    ("br_cpf", "br.cpf", "[0-9]{9}", PAIRS),
    ("ca_bc_phn", "ca.bc_phn", "9[0-9]{8}", DIGITS),
    ("ca_sin", "ca.sin", "[0-9]{8}", DIGITS),
    ("ch_ahv", "ch.ssn", "756[0-9]{9}", DIGITS),
    ("ch_uid", "ch.uid", "CHE[0-9]{8}", DIGITS),
    ("cl_rut", "cl.rut", "[1-9][0-9]{7}", [*DIGITS, "K"]),
    ("cl_rut", "cl.rut", "[1-9][0-9]{6}", [*DIGITS, "K"]),
    ("cn_resident_id", "cn.ric", "110101<yyyymmdd>[0-9]{3}", [*DIGITS, "X"]),
    ("co_nit", "co.nit", "[1-9][0-9]{8}", DIGITS),
    ("co_nit", "co.nit", "[1-9][0-9]{7}", DIGITS),
    ("cy_tic", "cy.vat", "[0-9]{8}", LETTERS),
    ("cz_rodne_cislo", "cz.rc", "<yymmdd>[0-9]{3}", DIGITS),
    ("cz_rodne_cislo", "cz.rc", "[0-9]{2}[0157][0-9][0-3][0-9]{4}", DIGITS),
    ("de_steuer_id", "de.idnr", "[1-9][0-9]{9}", DIGITS),
    ("de_steuer_id", "de.idnr", "[1-9][0-4]{3}[4-9]{6}", DIGITS),
    ("de_ust_id", "de.vat", "[1-9][0-9]{7}", DIGITS),
    ("dk_cpr", "dk.cpr", "<ddmmyy>[0-9]{3}", DIGITS),
    ("do_cedula", "do.cedula", "[0-9]{10}", DIGITS),
    ("ec_cedula", "ec.ci", "[0-3][0-9][0-6][0-9]{6}", DIGITS),
    ("ee_isikukood", "ee.ik", "[1-8]<yymmdd>[0-9]{3}", DIGITS),
    ("es_cif", "es.cif", "[A-HJ-NP-SU-W][0-9]{7}", [*DIGITS, *LETTERS[:10]]),
    ("es_dni", "es.dni", "[0-9]{8}", LETTERS),
    ("es_dni", "es.nif", "[KLM][0-9]{7}", LETTERS),
    ("es_nie", "es.nie", "[XYZ][0-9]{7}", LETTERS),
    ("fi_hetu", "fi.hetu", "<ddmmyy>[-+A-FU-Y][0-8][0-9]{2}", [*DIGITS, *LETTERS]),
    ("fr_nir", "fr.nir", "[12]<yymm>[0-9]{2}[0-9]{6}", PAIRS),
    ("fr_nir", "fr.nir", "[12]<yymm>2[AB][0-9]{6}", PAIRS),
    ("fr_siren", "fr.siren", "[0-9]{8}", DIGITS),
    ("fr_siret", "fr.siret", "35600000[0-9]{5}", DIGITS),
    ("fr_siret", "fr.siret", "732829320[0-9]{4}", DIGITS),
    ("fr_spi", "fr.nif", "[0-3][0-9]{9}", [f"{n:03}" for n in range(0, 1000, 7)]),
    ("fr_tva", "fr.tva", "FR[0-9]{10}", DIGITS),
    ("gr_afm", "gr.vat", "[0-9]{8}", DIGITS),
    ("gr_amka", "gr.amka", "<ddmmyy>[0-9]{4}", DIGITS),
    ("hr_oib", "hr.oib", "[0-9]{10}", DIGITS),
    ("id_npwp", "id.npwp", "[0-9]{8}[0-9][0-9]{5}", DIGITS),
    ("ie_pps", "ie.pps", "[0-9]{7}", LETTERS),
    ("ie_pps", "ie.pps", "[0-9]{7}[A-W]", LETTERS),
    ("il_teudat_zehut", "il.idnr", "[0-9]{8}", DIGITS),
    ("in_aadhaar", "in_.aadhaar", "[0-9]{11}", DIGITS),
    ("in_epic", "in_.epic", "[A-Z]{3}[0-9]{6}", DIGITS),
    ("in_gstin", "in_.gstin", "[0-3][0-9][A-Z]{3}[PCHFATBJGL][A-Z][0-9]{4}[A-Z][1-9A-Z]Z", [*DIGITS, *LETTERS]),
    ("in_pan", "in_.pan", "[A-Z]{3}[A-Z][A-Z][0-9]{4}", LETTERS),
    ("is_kennitala", "is_.kennitala", "<ddmmyy>[0-9]{3}", ["0", "9"]),
    (
        "it_codice_fiscale",
        "it.codicefiscale",
        "[A-Z]{6}[0-9L-NP-V]{2}[A-EHLMPRST][0-7][0-9LM][A-MZ][0-9L-NP-V]{3}",
        LETTERS,
    ),
    ("it_partita_iva", "it.iva", "[0-9]{7}0[0-9]{2}", DIGITS),
    ("jp_my_number", "jp.in_", "[0-9]{11}", DIGITS),
    ("kr_rrn", "kr.rrn", "<yymmdd>[0-9]{6}", DIGITS),
    ("lt_asmens_kodas", "lt.asmens", "[1-6]<yymmdd>[0-9]{3}", DIGITS),
    ("lv_personas_kods", "lv.pvn", "<ddmmyy>[0-2][0-9]{3}", DIGITS),
    ("mx_curp", "mx.curp", "[A-Z][AEIOUX][A-Z]{2}<yymmdd>[HM]DF[BCDFGHJKLMNPQRSTVWXYZ]{3}[0-9A]", DIGITS),
    ("my_kad", "my.nric", "<yymmdd>[0-9]{5}", DIGITS),
    ("nl_bsn", "nl.bsn", "[0-9]{8}", DIGITS),
    ("nl_bsn", "nl.bsn", "[0-9]{7}", DIGITS),
    ("nl_btw", "nl.btw", "NL[0-9]{9}B", PAIRS),
    ("no_fodselsnummer", "no.fodselsnummer", "<ddmmyy>[0-9]{3}", PAIRS),
    ("no_fodselsnummer", "no.fodselsnummer", "[4-7][0-9]0[0-9][0-9]{5}", PAIRS),
    ("nz_ird", "nz.ird", "[01][0-9]{7}", DIGITS),
    ("pe_dni", "pe.cui", "[0-9]{8}", [*DIGITS, *LETTERS[:11]]),
    ("pe_ruc", "pe.ruc", "[12][0-9]{9}", DIGITS),
    ("pk_cnic", "pk.cnic", "[0-9]{12}", DIGITS),
    ("pl_nip", "pl.nip", "[1-9][0-9]{8}", DIGITS),
    ("pl_pesel", "pl.pesel", "<yymmdd>[0-9]{4}", DIGITS),
    ("pl_pesel", "pl.pesel", "[0-9]{2}[2468][0-9][0-2][0-9]{5}", DIGITS),
    ("pl_regon", "pl.regon", "[0-9]{8}", DIGITS),
    ("pl_regon", "pl.regon", "[0-9]{13}", DIGITS),
    ("pt_cc", "pt.cc", "[0-9]{9}[A-Z0-9]{2}", DIGITS),
    ("pt_nif", "pt.nif", "[0-9]{8}", DIGITS),
    ("ro_cnp", "ro.cnp", "[1-9]<yymmdd>[0-4][0-9][0-9]{3}", DIGITS),
    ("ru_inn", "ru.inn", "[0-9]{9}", DIGITS),
    ("ru_inn", "ru.inn", "[0-9]{10}", PAIRS),
    ("ru_ogrnip", "ru.ogrn", "3[0-9]{13}", DIGITS),
    ("se_personnummer", "se.personnummer", "<yymmdd>-[0-9]{3}", DIGITS),
    ("se_personnummer", "se.personnummer", "<yyyymmdd>-[0-9]{3}", DIGITS),
    ("si_davcna", "si.ddv", "[1-9][0-9]{6}", DIGITS),
    ("si_emso", "si.emso", "<ddmm>9[0-9]{2}5[0-9]{4}", DIGITS),
    ("th_id", "th.pin", "[1-9][0-9]{11}", DIGITS),
    ("tr_tckn", "tr.tckimlik", "[1-9][0-9]{8}", PAIRS),
    ("tr_vkn", "tr.vkn", "[0-9]{9}", DIGITS),
    ("ua_rnokpp", "ua.rntrc", "[0-9]{9}", DIGITS),
    ("uk_nhs", "gb.nhs", "[0-9]{9}", DIGITS),
    ("uk_utr", "gb.utr", "[0-9]{9}", DIGITS),
    ("us_ein", "us.ein", "[0-9]{8}", DIGITS),
    ("us_routing", "us.rtn", "[0-9]{8}", DIGITS),
    ("ve_rif", "ve.rif", "[VEJPG][0-9]{8}", DIGITS),
    ("vn_mst", "vn.mst", "[0-9]{9}", DIGITS),
    ("za_id", "za.idnr", "<yymmdd>[0-9]{4}[0-2]8", DIGITS),
    ("za_tax", "za.tin", "[0-9]{9}", DIGITS),
]


#: Validator → (why the oracle answers otherwise, of which numbers: text, what we say, what it says).
DIFFERS = {
    "ar_cuit": (
        "25 and 26 are in use since the law on gender identity",
        lambda t, ours, _: ours and t[:2] in ("25", "26"),
    ),
    "at_steuernummer": ("it also asks for the tax office", lambda t, ours, _: ours),
    "at_svnr": ("it does not ask for a day", lambda t, ours, _: not ours),
    "be_national": (
        "it knows what year it is, and a number with 20 or 40 added is another kind for it",
        lambda t, ours, _: ours and (int(t[:2]) + 2000 > date.today().year or int(t[2:4]) >= 20),
    ),
    "ca_sin": ("the specimens of the state begin with a zero", lambda t, ours, _: ours and t[0] == "0"),
    "cn_resident_id": (
        "it knows the counties, but no century",
        lambda t, ours, _: t[:6] != "110101" if ours else t[6:8] not in ("18", "19", "20"),
    ),
    "co_nit": ("none begins with a zero", lambda t, ours, _: not ours and t[0] == "0"),
    "cz_rodne_cislo": (
        "20 is added since 2004, a remainder of ten was let pass until 1985",
        lambda t, ours, _: not ours,
    ),
    "de_steuer_id": ("three in a row are not issued", lambda t, ours, _: not ours and re.search(r"(.)\1\1", t)),
    "dk_cpr": ("it knows what year it is", lambda t, ours, _: ours is not False),
    "do_cedula": ("some old ones fail the check", lambda t, ours, _: ours is None),
    "fr_nir": (
        "it does not ask for sex, month and département",
        lambda t, ours, _: not ours and (t[0] not in "12" or not 1 <= int(t[3:5]) <= 12 or t[5:7] == "00"),
    ),
    "ie_pps": ("letters up to I are in use since 2013", lambda t, ours, _: ours and t[8] in "CDEFGI"),
    "in_gstin": (
        "38 is Ladakh, since 2019; it knows fewer kinds of holders",
        lambda t, ours, _: ours and (t[:2] == "38" or t[5] in "EK"),
    ),
    "in_pan": ("some kinds of holders that it knows are none", lambda t, ours, _: ours is False or t[3] in "EK"),
    "is_kennitala": ("companies have 40 added to the day", lambda t, ours, _: not ours and int(t[:2]) > 31),
    "it_codice_fiscale": ("40 is added to the day once, not twice", lambda t, ours, _: not ours),
    "kr_rrn": (
        "since 2020 there are no check digit and no place; 13 is for foreigners; it knows what year it is",
        lambda t, ours, _: ours is None or (ours and (t[6] in "345678" or t[7:9] > "96")),
    ),
    "lt_asmens_kodas": ("nobody was born in 2100", lambda t, ours, _: not ours and t[0] in "78"),
    "lv_personas_kods": (
        "since 2017 all is random; companies have no day",
        lambda t, ours, _: ours is None or t[6] > "2" or not ours,
    ),
    "mx_curp": ("it does not ask for vowels and consonants", lambda t, ours, _: not ours),
    "nl_btw": ("none ends with B00", lambda t, ours, _: not ours and t.endswith("00")),
    "no_fodselsnummer": ("it knows what year it is, and not what made-up numbers have", lambda t, ours, _: ours),
    "nz_ird": ("the range was widened to 200 million", lambda t, ours, _: ours and int(t) >= 150_000_000),
    "pl_nip": ("none begins with a zero", lambda t, ours, _: not ours and t[0] == "0"),
    "pt_nif": ("only 45 of what begins with a four is issued", lambda t, ours, _: not ours and t[0] == "4"),
    "ro_cnp": ("it knows what year it is", lambda t, ours, _: ours and t[0] in "56789"),
    "ru_ogrnip": (
        "of a remainder of two digits the last one counts; four is no person",
        lambda t, ours, _: (ours and int(t[:14]) % 13 > 9) or (not ours and t[0] == "4"),
    ),
    "se_personnummer": ("it knows what year it is, but no century", lambda t, ours, _: True if ours else len(t) > 11),
    "si_emso": (
        "nobody is older than that, or from another republic",
        lambda t, ours, _: not ours and (t[4] not in "089" or t[7] != "5"),
    ),
    "us_routing": ("it does not know the districts", lambda t, ours, _: not ours),
    "za_id": ("two is for refugees", lambda t, ours, _: ours and t[10] == "2"),
}


@pytest.mark.parametrize(("name", "oracle", "template", "ends"), ORACLE, ids=[f"{row[0]}-{row[2]}" for row in ORACLE])
def test_check_digits_agree_with_the_oracle(name, oracle, template, ends):
    known, validator = import_module(f"stdnum.{oracle}"), VALIDATORS[name]
    why, excused = DIFFERS.get(name, ("", lambda *_: False))
    valid = 0
    for text in _around(template, ends, max(30, 3000 // len(ends)), random.Random(name + template)):
        ours = validator(text.encode())
        try:
            theirs = known.is_valid(text)
        except KeyError:  # a county that its own table is not complete about
            continue
        valid += bool(theirs)
        # None: no check digit that anybody has published; the oracle then knows the form alone.
        assert (ours is not False if known.__name__ in _FORMS else ours is True) == theirs or excused(
            text, ours, theirs
        ), f"{text}: {ours}, the oracle says {theirs}; known is: {why}"
    assert valid


#: What the oracle knows no more than a form of.
_FORMS = ("stdnum.in_.pan", "stdnum.pk.cnic", "stdnum.us.ein", "stdnum.cz.rc", "stdnum.dk.cpr")

#: Numbers that states and standards print as specimens, or that their own documents compute; and of famous companies.
SPECIMENS = """
    ae_emirates_id 784-1980-1234567-8 | au_ihi 8003608166690503 8003608833357361 | au_medicare 2123456701 2428778132
    au_tfn 37118629 37118660 37118676 38593519 38593474 81854402 | au_abn 51824753556 | br_cnh 97625655678
    br_cnpj 12ABC34501DE35 | br_cns 898001160660761 | br_pis 12345678900 | br_titulo 102385010671
    ca_on_health 1234567897 | ch_ahv 756.1234.5678.97
    cn_resident_id 11010519491231002X | de_kvnr A123456780 | de_personalausweis L01X00T471 T220001293
    de_reisepass C01X00T478 C01X0006H1 | de_svnr 15070649C103 10010490A443 | es_nuss 281234567840
    hk_id A123456(3) G123456(A) C668668(9) AB987654(3) L555555(0) | hu_adoazonosito 8071592153
    hu_szemelyi 19401307486 14112168875 29803082861 | hu_taj 111111110 | in_aadhaar 2341-2341-2346
    ir_melli 0084575948 | jp_my_number 123456789018 | kr_brn 124-81-00998 220-81-62517 120-81-47521
    kz_iin 791028302728 | lu_nin 1893120105732 | md_idnp 2000000001230 | mk_embg 1810965417775 1911980419017
    ba_jmbg 0312949191348 0304963186400 | rs_jmbg 0710003730015 | si_emso 0101006500006 | mx_nss 31697521370
    mx_rfc GODE561231GR8 MAB9307148T4 | nz_nhi ZAC5361 ZZZ0016 ZBN77VL ZZZ00AC ZDR69YX ZVU27KE | pl_dowod ABS123456 ABA300000
    pl_paszport ZS0000177 | pt_niss 12345678902 12345678910 | ru_polis 1234567890123452 | ru_snils 112-233-445-95 08765430300
    sa_national 1000000008 | sg_nric S1234567D T1234567J F1234567N G1234567X M1234567K S0000001I
    tw_id A123456789 A800000014 | uk_chi 0101801238 | uk_nino AB123456C | uk_driving_licence MORGA657054SM9IJ
    us_dea AB1234563 F91234563 | us_npi 1234567893 | uy_ci 1.234.567-2 | ve_rif J-07013380-5
    cz_dic CZ8501011233 | ec_ruc 1710034065001 | hr_jmbg 0101980330002 | me_jmbg 0101980210007
    ru_ogrnip 304500116000157 | se_samordningsnummer 701063-2391
"""
PAIRED = [
    (name, number)
    for entry in SPECIMENS.replace("\n", " | ").split("|")
    if entry.split()
    for name, *numbers in [entry.split()]
    for number in numbers
]


@pytest.mark.parametrize(("name", "number"), PAIRED)
def test_specimens_are_valid(name, number):
    assert VALIDATORS[name](number.encode()) is True


#: What of a specimen does not check, or is checked by a character that is not its last.
_NOT_LAST = {"au_medicare", "ca_on_health", "ec_ruc", "pl_dowod", "pl_paszport", "uk_driving_licence", "uk_nino"}


@pytest.mark.parametrize(("name", "number"), [pair for pair in PAIRED if pair[0] not in _NOT_LAST])
def test_another_check_digit_is_not_valid(name, number):
    last = number.rstrip(")")[-1]
    kind = DIGITS if last.isdigit() else LETTERS
    for other in kind:
        if other != last:
            changed = f"{number.rstrip(')')[:-1]}{other}"
            assert VALIDATORS[name](changed.encode()) is not True


def test_every_validator_was_compared_with_an_oracle_or_a_specimen():
    compared = {row[0] for row in ORACLE} | {name for name, _ in PAIRED}
    # The form of these is all that is published, or their check digit is that of another kind.
    others = "ar_dni by_personal ca_ramq cz_dic eg_national id_nik lk_nic mt_id nl_document ua_unzr us_mbi vn_cccd"
    assert set(NATIONAL) - compared <= set(others.split())


@given(
    st.sampled_from(sorted(NATIONAL)),
    st.binary(max_size=24) | st.text("0123456789ABKXZabz-./ ()", max_size=20).map(str.encode),
)
def test_any_bytes_have_an_answer(name, value):
    assert NATIONAL[name](value) in (True, False, None)


@given(st.sampled_from(PAIRED), st.data())
def test_separators_and_small_letters_make_no_difference(pair, data):
    name, number = pair
    parts = [(c, data.draw(st.sampled_from(["", "", " ", "-", ".", "/"]))) for c in number]
    assert NATIONAL[name]("".join(c + between for c, between in parts).encode()) is True
    assert NATIONAL[name](number.lower().encode()) is True


@pytest.mark.parametrize("name", sorted(NATIONAL))
def test_one_digit_all_along_is_a_blank_in_a_form(name):
    assert all(NATIONAL[name](digit.encode() * size) is False for digit in DIGITS for size in range(6, 17))


# ---- the schemes themselves ----


@pytest.mark.parametrize(
    ("ours", "oracle"),
    [
        (checks.luhn, "luhn"),
        (checks.verhoeff, "verhoeff"),
        (checks.mod11_10, "iso7064.mod_11_10"),
        (checks.mod11_2, "iso7064.mod_11_2"),
    ],
)
def test_schemes_agree_with_the_oracle(ours, oracle):
    known, pick = import_module(f"stdnum.{oracle}"), random.Random(oracle)
    for _ in range(2000):
        text = "".join(pick.choices("0123456789", k=pick.randrange(2, 20)))
        assert ours(text) == known.is_valid(text)


@given(st.text("0123456789", min_size=2, max_size=12), st.integers(0, 11), st.integers(1, 9))
def test_no_wrong_digit_and_no_swap_escapes_verhoeff(body, at, more):
    number = next(f"{body}{n}" for n in DIGITS if checks.verhoeff(f"{body}{n}"))
    at %= len(number) - 1
    wrong = f"{number[:at]}{(int(number[at]) + more) % 10}{number[at + 1 :]}"
    assert not checks.verhoeff(wrong)
    swapped = f"{number[:at]}{number[at + 1]}{number[at]}{number[at + 2 :]}"
    assert swapped == number or not checks.verhoeff(swapped)


def test_days_that_do_not_exist_are_told():
    assert checks.exists(2000, 2, 29)
    assert not checks.exists(1900, 2, 29)
    assert checks.born("00", "02", "29")  # in one of the two centuries
    assert not checks.born("99", "02", "29")
    assert not checks.born("80", "13", "01")
