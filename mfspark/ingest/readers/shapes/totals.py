"""Names of rows and columns of a sheet that sum up the others, in the languages people write."""

import re
import unicodedata

import pyarrow as pa
import pyarrow.compute as pc

_TOTALS = (
    "total totals grandtotal subtotal sum sums average averages avg mean means median stddev stdev "
    "std variance averagerating avgrating meanrating totalrating totalscore averagescore "
    "percentage percent "
    "summe summen gesamt gesamtsumme gesamtpunkte insgesamt zwischensumme durchschnitt mittelwert "
    "moyenne somme promedio totales totale somma subtotaal totaal gemiddelde suma średnia razem "
    "итого всего сумма среднее celkem součet průměr yhteensä keskiarvo összesen átlag toplam "
    "ortalama totalt snitt genomsnitt medelvärde gjennomsnitt gennemsnit σύνολο 合計 平均 总计 "
    "合计 总分 平均分 平均値 합계 평균 총점 कुल औसत योग المجموع المتوسط"
)
_NAMES_TOO = "max maximum min minimum count number n mode range sd media som mittel anzahl"
_BESIDE = (
    "class grand overall general generale sub all of the in for per by and rating ratings score "
    "scores mark marks points votes film films movie movies item items row rows column columns "
    "user users student students course courses value values group de la du des der aller noten"
)
_SURE, _MAYBE, _FILLERS = (frozenset(words.split()) for words in (_TOTALS, _NAMES_TOO, _BESIDE))
_ANY = "|".join(map(re.escape, sorted(_SURE)))


def says_total(text: str) -> bool:
    """Return whether a name says that it sums up others: Total, Class average, Итого."""
    return _is_made_of(text, _SURE)


def may_say_total(text: str) -> bool:
    """Return whether a name may say so, but may be a person's, too: Max, N."""
    return _is_made_of(text, _MAYBE)


def _is_made_of(text: str, core: frozenset[str]) -> bool:
    letters = (c if unicodedata.category(c)[0] in "LMN" else " " for c in text.lower())
    words = set("".join(letters).split())
    return bool(words & core) and words <= core | _FILLERS


def say_totals(texts: pa.Array) -> pa.Array:
    """Return which cells of a column of text say that they sum up others."""
    near = pc.fill_null(pc.match_substring_regex(pc.utf8_lower(texts), _ANY), fill_value=False)
    if not pc.any(near).as_py():
        return near
    said = [says_total(text) for text in texts.filter(near).to_pylist()]
    return pc.replace_with_mask(near, near, pa.array(said, pa.bool_()))
