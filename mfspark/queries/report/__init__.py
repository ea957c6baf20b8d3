"""The HTML report of a night: content as plain data, charts as inline SVG, one page."""
