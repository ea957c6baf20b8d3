"""What the names of columns say: which part a column plays, and how surely.

The known names of a part are in tiers: an id column is a better user than one called `name`. Of two
columns in one tier neither is better.
"""

import re
from collections.abc import Sequence

from mfspark.errors import InputError

_TIERS: dict[str, tuple[str, ...]] = {
    "user": (
        "userid useridx uid",
        "user customerid memberid reviewerid respondentid visitorid accountid viewerid readerid",
        "customer member reviewer respondent visitor account benutzer nutzer kunde kundennr "
        "kundennummer usuario utilisateur utente",
        "username",
        "name yourname fullname",
        "email emailaddress useremail mail",
    ),
    "item": (
        "itemid itemidx iid",
        "item movieid productid asin bookid songid trackid artistid businessid gameid animeid "
        "videoid filmid jokeid articleid newsid recipeid placeid venueid restaurantid hotelid "
        "courseid appid showid poiid",
        "movie film product isbn book song track artist business game anime sku artikel artikelnr "
        "produkt pelicula producto livre",
    ),
    "rating": (
        "rating ratings userrating myrating yourrating bookrating ratingvalue starrating",
        "stars star score overall bewertung puntuacion calificacion valoracion",
    ),
    "timestamp": (
        "timestamp ratingtimestamp ratedat unixreviewtime",
        "time ts datetime createdat",
        "date reviewdate",
    ),
}
TIERS = {part: tuple(frozenset(tier.split()) for tier in tiers) for part, tiers in _TIERS.items()}
NAMES = {part: frozenset[str]().union(*tiers) for part, tiers in TIERS.items()}
"""All known names of each part."""
HEADER_NAMES = frozenset({"id", "title", "genres"}).union(*NAMES.values())
"""Names that only a header has, of ratings or of items."""
UNSURE = TIERS["user"][-2]
"""Names that a person has, but a film or a product as well."""
CONTACT = TIERS["user"][-1]
_REMARKS = (
    "comment comments remark remarks note notes feedback age gender sex phone phoneno phonenumber "
    "mobile mobilenumber telephone tel zip zipcode postcode pincode studentid rollno rollnumber "
    "serialno srno sno class klasse section semester rank rang gpa cgpa dob birthyear yearofbirth"
)
REMARKS = CONTACT | frozenset(_REMARKS.split())
"""Columns beside the items of a wide sheet that say something of the person."""
_CHOSEN = (
    "plays playcount listens listencount views viewcount clicks clickcount quantity qty purchases "
    "purchasecount orders ordercount visits visitcount frequency nplays nviews nclicks"
)
COUNTS = frozenset(_CHOSEN.split())
"""Names of columns that say how often an item was chosen."""
_NEITHER = (
    "price unitprice cost amount revenue discount tax currency age gender sex year month day hour "
    "minute weekday dow dayofweek wday week quarter period yearmonth distance zip zipcode country "
    "city lat latitude lon lng longitude duration runtime length pages "
    "page session sessionid position rank step device tag tagid genre genreid category categoryid "
    "relevance helpful helpfulness helpfulvotes totalvotes votes useful funny cool transactionid "
    "orderid invoiceno reviewid playduration videoduration timespent dwell watchtime"
)
NO_PARTS = frozenset(_NEITHER.split())
"""Names of columns that are no user, item or rating, whatever is left over."""
_NUMBERING = (
    "no nr num number sno srno slno serialno lfd lfdnr index idx row rowid rownumber rowno "
    "nummer 序号 编号"
)
PERSON_IDS = frozenset(
    ("studentid", "rollno", "rollnumber", "admissionno", "regno", "employeeid", "personid")
)
"""Ids that persons have beside a name."""
ROW_NUMBERS = frozenset(("", *_NUMBERING.split()))
"""Plain names of columns that count the rows of a sheet; that of "#" is empty."""
_ITEM_WORDS = {
    *(name.removesuffix("id") for tier in TIERS["item"][1:] for name in tier),
    *("item", "items", "title", "titles", "movies", "films", "books", "products", "songs"),
}
_ID_WORDS = frozenset(
    ("id", "no", "nr", "num", "number", "code", "idx", "index", "key", "uid", "uuid", "guid")
)


def plain_name(name: str) -> str:
    """Reduce a column name to its letters and digits: "User ID" and user_id are both userid."""
    return "".join(c for c in name.lower() if c.isalnum())


def names_an_id(name: str) -> bool:
    """Return whether the last word of a name says that it is an id: student_id, PersonNo, Nr."""
    words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)
    return bool(words) and words[-1].lower() in _ID_WORDS


def names_an_index(name: str) -> bool:
    """Return whether a column is called as one that numbers rows; pandas writes "Unnamed: 0"."""
    plain = plain_name(name)
    return plain in ROW_NUMBERS or re.fullmatch(r"unnamed\d+(level\d+)?", plain) is not None


def names_an_item(name: str) -> bool:
    """Return whether a word of a name is one for items: Movie Name, Film title, Restaurant."""
    words = {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)}
    return plain_name(name) in NAMES["item"] or bool(words & _ITEM_WORDS)


def parts_named(record: Sequence[str]) -> set[str]:
    """Return the parts that the cells of a record name."""
    plain = {plain_name(cell) for cell in record}
    return {part for part, known in NAMES.items() if plain & known}


def best_named(part: str, names: Sequence[str], free: Sequence[int]) -> list[int]:
    """Return those of the free columns that have the most specific name of a part."""
    for tier in TIERS[part]:
        if found := [i for i in free if i < len(names) and plain_name(names[i]) in tier]:
            return found
    return []


def find_column(wanted: str, names: Sequence[str], width: int, setting: str, path: str) -> int:
    """Return the position (from 0) of a column given by its name or its 1-based position.

    Raises InputError for one that is not there, and for a name that several columns have.
    """
    stripped = wanted.strip()
    for same in (
        lambda name: name == stripped,
        lambda name: plain_name(name) == plain_name(stripped),
    ):
        if found := [i for i, name in enumerate(names) if name and same(name)]:
            if len(found) > 1:
                raise named_twice(names, found, setting, path)
            return found[0]
    if stripped.isdecimal() and 1 <= int(stripped) <= width:
        return int(stripped) - 1
    shown = ", ".join(names) if names else f"positions 1 to {width}"
    raise InputError(f'{path} has no column "{wanted}" (found: {shown})', f"correct {setting}")


def named_twice(names: Sequence[str], found: Sequence[int], setting: str, path: str) -> InputError:
    """Say that several columns could be meant, and how their position tells which."""
    which = " and ".join(f"column {i + 1} '{names[i]}'" for i in found)
    return InputError(
        f"{path}: {which} could both be meant",
        f'say which by its position: --set {setting}="{found[0] + 1}"',
    )
