# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Draws charts with pygal, as SVG that takes its colours from the page. Without pygal there are none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Optional

from ansible_collections.day2.ops.plugins.module_utils._report import units
from ansible_collections.day2.ops.plugins.module_utils._report.drawings import Drawing, ticks

# One size for all: text keeps its size when two stand side by side on a desk, or one on a phone.
_WIDTH = 460
_LONGEST_LABEL = 27
# What pygal draws for its script, which a page without one has no use for.
_UNWANTED_TAGS = ("script", "style", "desc", "title")
_UNWANTED_CLASSES = ("text-overlay", "tooltip-overlay", "titles")


def available() -> bool:
    try:
        import pygal  # noqa: F401  pylint: disable=import-outside-toplevel,unused-import
    except ImportError:
        return False
    return True


def draw(drawing: Drawing) -> str:
    """The chart as an ``<svg>`` element; its colours are the classes ``look-*`` of the page's style."""
    chart = _line(drawing) if drawing.kind == "line" else _bars(drawing)
    chart.add_xml_filter(_cleaner([one.look for one in drawing.series], _told(drawing)))
    text: str = chart.render(is_unicode=True)
    return text


def _told(drawing: Drawing) -> str:
    return f"{drawing.title}{': ' if drawing.note else ''}{drawing.note}"


def _options(drawing: Drawing, height: int) -> dict[str, Any]:
    values = [value for series in drawing.series for value in series.values if value is not None]
    if drawing.kind == "stacked":
        values = [sum(value or 0 for value in column) for column in zip(*(one.values for one in drawing.series))]
    least = min(values)
    # A line shows movement; a bar's length must not lie.
    low = least if drawing.kind == "line" else min(0.0, least)
    axis = ticks(low, max(values), drawing.unit, 4 if drawing.kind == "line" else 3)
    return {
        "width": _WIDTH,
        "height": height,
        "margin": 6,
        "margin_right": 32,  # half of the last label lies there
        "spacing": 6,
        "js": [],
        "css": [],
        "no_prefix": True,
        "disable_xml_declaration": True,
        "show_legend": False,
        "y_labels": axis,
        "range": (axis[0], axis[-1]),
        "value_formatter": _formatter(drawing.unit),
    }


def _formatter(unit: str) -> Callable[[Any], str]:
    return lambda value: units.show(value, unit)


def _bars(drawing: Drawing) -> Any:
    import pygal  # pylint: disable=import-outside-toplevel

    beside = 1 if drawing.kind == "stacked" else len(drawing.series)
    options = _options(drawing, 40 + len(drawing.labels) * (14 + 12 * beside))
    kind = pygal.HorizontalStackedBar if drawing.kind == "stacked" else pygal.HorizontalBar
    chart = kind(style=_style(), **options)
    chart.x_labels = [_short(label) for label in reversed(drawing.labels)]
    for one in drawing.series:
        chart.add(one.name, list(reversed(one.values)))
    return chart


def _line(drawing: Drawing) -> Any:
    import pygal  # pylint: disable=import-outside-toplevel

    begin, end = drawing.at[0], drawing.at[-1]
    day = {at: label[:10] for at, label in zip(drawing.at, drawing.labels)}
    edges = [begin, end] if day[begin] != day[end] else [end]
    words = {begin: drawing.labels[0], end: drawing.labels[-1]}
    words = {at: text[:10] if day[begin] != day[end] else text for at, text in words.items()}
    chart = pygal.XY(
        style=_style(),
        x_value_formatter=lambda at: words.get(at, ""),
        show_dots=len(drawing.at) <= 12,
        dots_size=2.5,
        xrange=(begin, end),
        **_options(drawing, 190),
    )
    chart.x_labels = edges
    for one in drawing.series:
        dots = one is drawing.series[0] and len(drawing.at) <= 12
        chart.add(one.name, list(zip(drawing.at, one.values)), show_dots=dots)
    return chart


def _style() -> Any:
    from pygal.style import Style  # pylint: disable=import-outside-toplevel

    # Only the sizes are used, to leave room for the labels; what is drawn takes the page's style.
    return Style(label_font_size=12, major_label_font_size=12, font_family="sans-serif")


def _short(label: str) -> str:
    """The end of a name tells more than its beginning: ``public.orders_2026`` of ``shop.public.orders_2026``."""
    return label if len(label) <= _LONGEST_LABEL else f"…{label[1 - _LONGEST_LABEL :]}"


def _cleaner(looks: list[str], told: str) -> Callable[[Any], Any]:
    def clean(root: Any) -> Any:
        _prune(root, looks)
        for name in ("id", "style"):
            root.attrib.pop(name, None)
        root.set("role", "img")
        root.set("aria-label", units.clean(told))
        return root

    return clean


def _prune(element: Any, looks: list[str]) -> None:
    for child in list(element):
        if not isinstance(child.tag, str) or _name(child) in _UNWANTED_TAGS or _unwanted(child):
            element.remove(child)
            continue
        look = _look(child.get("class") or "", looks)
        if look:
            child.set("class", f"series look-{look}")
        _prune(child, looks)


def _unwanted(element: Any) -> bool:
    classes = (element.get("class") or "").split()
    return any(name in classes for name in _UNWANTED_CLASSES) or "background" in classes


def _look(classes: str, looks: list[str]) -> Optional[str]:
    for word in classes.split():
        if word.startswith("serie-"):
            return looks[int(word[len("serie-") :])]
    return None


def _name(element: Any) -> str:
    return str(element.tag).rpartition("}")[2]
