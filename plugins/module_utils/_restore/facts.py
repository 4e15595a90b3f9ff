# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What belongs to a database and is in no dump of it: owner, grants, settings, limits. Read, brought over, compared."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Mapping, Union

from ansible_collections.day2.ops.plugins.module_utils._core.errors import OpsError
from ansible_collections.day2.ops.plugins.module_utils._postgresql.connect import Row, Session
from ansible_collections.day2.ops.plugins.module_utils._postgresql.names import quote
from ansible_collections.day2.ops.plugins.module_utils._restore.databases import Database, Shape, statement

PRIVILEGES = ("CREATE", "TEMPORARY", "CONNECT")
# Settings whose value is a list of names: quoted name by name, as pg_dump does.
LISTS = (
    "local_preload_libraries", "search_path", "session_preload_libraries", "shared_preload_libraries",
    "temp_tablespaces", "unix_socket_directories",
)  # fmt: skip
PUBLIC = ""
_LISTED = re.compile(r'\s*(?:"((?:[^"]|"")*)"|([^",\s]+))\s*(?:,|$)')

Grant = tuple[str, str, str, bool]


@dataclass(frozen=True)
class Facts:
    """``grants``: (grantor, grantee or empty for PUBLIC, privilege, grantable). ``settings`` by role (or empty) and
    name."""

    owner: str
    connection_limit: int
    template: bool
    grants: frozenset[Grant]
    settings: Mapping[tuple[str, str], str]
    shape: Shape


_ABOUT = """
SELECT pg_get_userbyid(d.datdba) AS owner, d.datconnlimit AS connection_limit, d.datistemplate AS template
  FROM pg_database d WHERE d.oid = %s
"""
_GRANTS = """
SELECT pg_get_userbyid(a.grantor) AS grantor, a.privilege_type AS privilege, a.is_grantable AS grantable,
       CASE a.grantee WHEN 0 THEN '' ELSE pg_get_userbyid(a.grantee) END AS grantee
  FROM pg_database d, aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a WHERE d.oid = %s
"""
_WRITTEN = """
SELECT pg_get_userbyid(a.grantor) AS grantor, a.privilege_type AS privilege, a.is_grantable AS grantable,
       CASE a.grantee WHEN 0 THEN '' ELSE pg_get_userbyid(a.grantee) END AS grantee
  FROM aclexplode(CASE WHEN cardinality(%(acl)s::text[]) = 0
                       THEN acldefault('d', (SELECT oid FROM pg_roles WHERE rolname = %(owner)s))
                       ELSE %(acl)s::text[]::aclitem[] END) a
"""
_SETTINGS = """
SELECT coalesce(r.rolname, '') AS role, unnest(s.setconfig) AS setting
  FROM pg_db_role_setting s LEFT JOIN pg_roles r ON r.oid = s.setrole WHERE s.setdatabase = %s
"""


def read(session: Session, database: Database, *, final: bool = False) -> Facts:
    """What the server says of the database now."""
    about = session.rows(_ABOUT, [database.oid], final=final)
    if not about:
        raise OpsError(f"Failed to read {database.name}: it is no longer there.")
    settings = {}
    for row in session.rows(_SETTINGS, [database.oid], final=final):
        name, _equals, value = row["setting"].partition("=")
        settings[row["role"], name] = value
    grants = _grants(session.rows(_GRANTS, [database.oid], final=final))
    return Facts(grants=grants, settings=settings, shape=database.shape, **about[0])


def from_manifest(session: Session, manifest: Mapping[str, Any]) -> Facts:
    """What the set tells of its database: for the case that there is none to ask."""
    told = manifest["database_settings"]
    shape = Shape(
        encoding=told["encoding"],
        collate=told["collate"],
        ctype=told["ctype"],
        provider=told["provider"],
        locale=told.get("locale"),
        rules=None,
        tablespace="pg_default",
    )
    rows = session.rows(_WRITTEN, {"acl": list(told["acl"]), "owner": told["owner"]})
    settings = {("", name): value for name, value in told["settings"].items()}
    return Facts(told["owner"], told["connection_limit"], False, _grants(rows), settings, shape)


def _grants(rows: list[Row]) -> frozenset[Grant]:
    return frozenset((row["grantor"], row["grantee"], row["privilege"], row["grantable"]) for row in rows)


def differences(wanted: Facts, found: Facts) -> list[str]:
    """What is not the same, for people. Pure."""
    said = []
    for name, what in (("owner", "owner"), ("connection_limit", "connection limit"), ("template", "template")):
        if getattr(wanted, name) != getattr(found, name):
            said.append(f"{what} {getattr(found, name)} instead of {getattr(wanted, name)}")
    for name in Shape.__dataclass_fields__:
        if getattr(wanted.shape, name) != getattr(found.shape, name):
            said.append(f"{name} {getattr(found.shape, name)} instead of {getattr(wanted.shape, name)}")
    said += [f"without {_told(grant)}" for grant in sorted(wanted.grants - found.grants)]
    said += [f"with {_told(grant)}" for grant in sorted(found.grants - wanted.grants)]
    for role, name in sorted(wanted.settings.keys() | found.settings.keys()):
        if wanted.settings.get((role, name)) != found.settings.get((role, name)):
            said.append(f"setting {name}{f' of {quote(role)}' if role else ''} differs")
    return said


def _told(grant: Grant) -> str:
    _grantor, grantee, privilege, _grantable = grant
    return f"{privilege} for {quote(grantee) if grantee else 'PUBLIC'}"


def creation(name: str, owner: str, shape: Shape, template: str, version: int) -> Any:
    """CREATE DATABASE, closed to everybody."""
    text = (
        "CREATE DATABASE {name} OWNER {owner} TEMPLATE {origin} ENCODING {encoding} LC_COLLATE {collate} "
        "LC_CTYPE {ctype} ALLOW_CONNECTIONS false CONNECTION LIMIT 0"
    )
    if shape.tablespace != "pg_default":  # naming the default one takes a right that nobody has
        text += " TABLESPACE {tablespace}"
    if version >= 150000 and shape.provider in ("c", "i"):
        text += " LOCALE_PROVIDER libc" if shape.provider == "c" else " LOCALE_PROVIDER icu ICU_LOCALE {locale}"
    if version >= 160000 and shape.rules:
        text += " ICU_RULES {rules}"
    if shape.provider == "b":
        text += " LOCALE_PROVIDER builtin BUILTIN_LOCALE {locale}"
    texts: dict[str, Union[str, int, None]] = {
        "encoding": shape.encoding,
        "collate": shape.collate,
        "ctype": shape.ctype,
        "locale": shape.locale,
        "rules": shape.rules,
    }
    return statement(text, texts, name=name, owner=owner, origin=template, tablespace=shape.tablespace)


def beginning(name: str, wanted: Facts) -> list[Any]:
    """Grants for the time beside: nobody but the owner connects; whoever owns schemas in it may create them."""
    grants = frozenset(grant for grant in wanted.grants if grant[2] == "CREATE" and grant[0] == wanted.owner)
    return _granting(name, wanted.owner, grants | {(wanted.owner, wanted.owner, one, False) for one in PRIVILEGES}, [])


def dressing(name: str, wanted: Facts, found: Facts, *, superuser: bool) -> list[Any]:
    """Statements that make the database ``name`` what ``wanted`` says."""
    statements = []
    if wanted.owner != found.owner:
        statements.append(statement("ALTER DATABASE {name} OWNER TO {owner}", name=name, owner=wanted.owner))
    limit, template = {"limit": wanted.connection_limit}, "true" if wanted.template else "false"
    statements.append(statement("ALTER DATABASE {name} CONNECTION LIMIT {limit}", limit, name=name))
    statements.append(statement(f"ALTER DATABASE {{name}} IS_TEMPLATE {template}", name=name))
    if wanted.grants != found.grants or wanted.owner != found.owner:
        statements += _granting(name, wanted.owner, wanted.grants, [grant[1] for grant in sorted(found.grants)])
    return statements + _setting(name, wanted, found, superuser)


def _granting(name: str, owner: str, grants: frozenset[Grant], before: list[str]) -> list[Any]:
    statements = []
    for grantee in dict.fromkeys([PUBLIC, owner, *before]):
        whom = "{grantee}" if grantee else "PUBLIC"
        statements.append(statement(f"REVOKE ALL ON DATABASE {{name}} FROM {whom} CASCADE", name=name, grantee=grantee))
    # Those who grant with an option of theirs must have been given it before.
    for grantor, grantee, privilege, grantable in sorted(grants, key=lambda grant: (grant[0] != owner, grant)):
        if privilege not in PRIVILEGES:
            raise OpsError(f"Failed to bring over the grants of {name}: {privilege} is not known.")
        whom = "{grantee}" if grantee else "PUBLIC"
        option = " WITH GRANT OPTION" if grantable else ""
        text = f"GRANT {privilege} ON DATABASE {{name}} TO {whom}{option}"
        given = statement(text, name=name, grantee=grantee)
        statements += [given] if grantor == owner else _as(grantor, given)
    return statements


def _setting(name: str, wanted: Facts, found: Facts, superuser: bool) -> list[Any]:
    statements = []
    for role, setting in sorted(found.settings.keys() - wanted.settings.keys()):
        whose = "ALTER ROLE {role} IN DATABASE {name}" if role else "ALTER DATABASE {name}"
        gone = statement(f"{whose} RESET {{setting}}", name=name, role=role, setting=setting)
        statements += _as(role, gone) if role and not superuser else [gone]
    for (role, setting), value in sorted(wanted.settings.items()):
        if found.settings.get((role, setting)) == value:
            continue
        whose = "ALTER ROLE {role} IN DATABASE {name}" if role else "ALTER DATABASE {name}"
        values = listed(value) if setting in LISTS else [value]
        texts: dict[str, Union[str, int, None]] = {f"value{number}": text for number, text in enumerate(values)}
        holes = ", ".join(f"{{{hole}}}" for hole in texts)
        said = statement(f"{whose} SET {{setting}} TO {holes}", texts, name=name, role=role, setting=setting)
        # Whoever is no superuser may set what belongs to a role only as that role.
        statements += _as(role, said) if role and not superuser else [said]
    return statements


def _as(role: str, said: Any) -> list[Any]:
    return [statement("SET ROLE {role}", role=role), said, statement("RESET ROLE")]


def listed(value: str) -> list[str]:
    """The names in a setting that is a list. Pure.

    >>> listed('app, "Odd, One", public'), listed('""')
    (['app', 'Odd, One', 'public'], [''])
    """
    found = [match.group(1).replace('""', '"') if match.group(1) is not None else match.group(2)
             for match in _LISTED.finditer(value)]  # fmt: skip
    return found or [""]


def acting_roles(wanted: Facts) -> set[str]:
    """Roles that one must be able to act as: the owner, whoever passed on a grant, and who has settings of its own."""
    return {wanted.owner, *(grant[0] for grant in wanted.grants), *(role for role, _name in wanted.settings if role)}
